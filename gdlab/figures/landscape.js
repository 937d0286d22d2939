// Landscape: two wells, a ridge between them, and where walks end, from each start at each rate. Everything
// stands over one axis, the one across the ridge. The mathematics is in mathematics/outcomes.js.

const endingWords = [
  ["left well", "Downhill on its side of the ridge."],
  ["right well", "Downhill on its side of the ridge."],
  ["stuck", "On the ridge the slope is 0, though it is no minimum."],
  ["bouncing", "η is above 2/L″ of both wells: it hops for ever."],
  ["diverged", "Each hop lands further out than the last."],
];
// Across its ridge a saddle is a quarter of the double well: the same ends at four times the rate and a quarter of the noise.
const terrains = {
  double_well: { ...doubleWell, slope: doubleWell.grad, flat: 1, text: "two wells", who: "θ", up: [-0.5, 3], least: 0, yName: "loss L", ridge: "ridge" },
  saddle: { ...saddle, slope: (y) => saddle.grad([0, y])[1], flat: 4, text: "saddle", who: "y", up: [-2.4, 2.4], yName: "x", ridge: "saddle" },
};
const wellRules = { gradient_descent: gradientDescent(), schedule_free_sgd: scheduleFreeSgd(), schedule_free_adamw: scheduleFreeAdamw() };
const [wellReach, wellFastest, wellSeeds] = [1.9, 0.55, 40];
const wellQuestions = [[-0.3, 0.05], [1.7, 0.15], [0, 0.05], [0.4, 0.3], [1.75, 0.3], [0.001, 0.1]];

function landscape(model, el) {
  const { get, set } = traits(model);
  const watched = ["surface", "rule", "start", "height", "lr", "noise", "seed", "steps", "paths", "ends", "outcomes", "frame", "ask", "guess", "trouble"];
  const ground = () => terrains[get("surface")];
  const plane = () => get("surface") === "saddle";
  const own = () => get("own");
  const rule = () => wellRules[get("rule")];
  const scaled = () => get("rule") === "schedule_free_adamw";  // by its gradients, so that L″ says nothing about its rate
  const hidden = () => get("ask") && !get("guess");  // nothing is shown before the reader has predicted
  const last = () => bold().length - 1;
  const at = () => (hidden() ? 0 : Math.min(get("frame"), last()));
  const across = (point) => point[point.length - 1];
  const asked = () => watched.slice(0, 6).map(get).join();
  let judged = asked();  // what the guess was about

  // The bold seed's path, then the fan's. Only what changed is walked again.
  let [paths, ends, kicks, walkedFor] = [[], [], [], ""];
  const bold = () => paths[0];
  const pathFrom = ({ start, height, lr }, i) =>
    noisyPath(rule(), ground().grad, plane() ? [height, start] : [start], lr, get("steps"), get("noise"), kicks[i]);
  function walkAgain() {
    const now = JSON.stringify(watched.slice(0, 11).map(get));
    if (now === walkedFor) return;
    walkedFor = now;
    const seeds = get("noise") ? [get("seed"), ...Array(wellSeeds).keys()] : [];
    kicks = seeds.map((seed) => kicksOf(seed, get("steps"), plane() ? 2 : 1));
    paths = own() ? get("paths").map((path) => path.map((point) => [].concat(point).map((number) => number ?? NaN)))
      : [0, ...seeds.slice(1)].map((_, i) => pathFrom(goal(), i));
    const still = Array(get("steps")).fill(0);
    ends = own() ? places(get("ends")) : paths.map((path, i) => path.length > 1 && path[path.length - 1].some(isFar) ? 4
      : wellEnding(rule(), ground().slope, get("start"), get("lr"), get("noise"), kicks[i]?.map(across) || still));
  }
  const places = (names) => names.map((name) => endings.indexOf(name));
  const escape = (path) => path.findIndex((point) => Math.abs(across(point)) > Math.sqrt(1 / 3));

  // What the eye sees: the walk glides when its start or its rate jumps.
  const shown = {};
  let dragged;
  function goal(held) {
    dragged = held;
    return { frame: paths.length && at(), start: get("start"), height: get("height"), lr: get("lr") };
  }

  // ---- the page

  let [x, y, down, box, map, laid, side, stripFor, mapFor, pieces = []] = [];
  const name = unique();
  const patterns = ["M-2 2l4-4M0 8l8-8M6 10l4-4", "M1 2h2.500M5 6h2.500", "M0 0h8v8h-8z", "M0 2l2 4 2-4 2 4 2-4", ""].map((d, i) =>
    svg("pattern", { id: name + i, class: `gdl-ending-${i}`, width: 8, height: 8, patternUnits: "userSpaceOnUse" },
      svg("rect", { width: 8, height: 8 }), svg("path", { d })));
  const filled = () => endings.map((_, i) => svg("path", { fill: `url(#${name + i})` }));
  const grids = [0, 1, 2].map(() => svg("g", { class: "gdl-grid" }));
  const curve = svg("path", {});
  const trail = svg("path", { class: "gdl-trail gdl-thin" });
  const cloud = svg("path", { class: "gdl-cloud" });
  const dots = svg("g", {});
  const names = svg("g", {});
  const from = ([px]) => x.back(px);
  const start = handle({ label: "start", thumb: false, min: -wellReach, max: wellReach, step: 0.02, home: -0.3, value: () => get("start"),
    text: () => `${ground().who}₀ = ${fmt(get("start"))}`, at: (event) => picture.at(event), from, onmove: (start) => moveTo({ start }) });
  const picture = canvas("The loss, and the way down", [curve, trail, cloud, dots], names, start);
  picture.prepend(grids[0]);
  const [strip, tiles] = [filled(), filled()];
  const mapNames = svg("g", {});
  const grain = () => [0.02, 0.005 * ground().flat];
  const grip = handle({ label: "start and rate", axis: "xy", min: () => [-wellReach, grain()[1]], max: () => [wellReach, 110 * grain()[1]],
    step: grain, home: () => [-0.3, 10 * grain()[1]], value: () => [get("start"), get("lr")],
    text: () => `${ground().who}₀ = ${fmt(get("start"))}, η = ${fmt(get("lr"))}`, at: (event) => diagram.at(event),
    from: (spot) => [from(spot), down.back(spot[1])], onmove(to) {
      // What a key leaves as it is must not be rounded: a nudge is smaller than a step.
      const [start, lr] = ["start", "lr"].map((name, i) => (Math.abs(to[i] - get(name)) < 0.51 * grain()[i] ? get(name) : to[i]));
      moveTo({ start, lr });
    } });
  grip.dataset.main = "";
  const diagram = canvas("Which start, at which rate, ends where", tiles, ...strip, grids[1], mapNames, grip);
  diagram.prepend(...patterns);
  const stage = html("div", { class: "gdl-stage" }, picture, diagram);
  const line = html("p", { class: "gdl-line" });
  const surfaces = segments("landscape", Object.entries(terrains).map(([value, { text }]) => [value, text]), (surface) => {
    const ratio = terrains[surface].flat / ground().flat;
    const [lr, noise] = [get("lr") * ratio, get("noise") / ratio].map((number) => Number(number.toPrecision(9)));
    moveTo({ surface, lr, noise });
  });
  const rates = Object.entries(terrains).map(([value, { flat }]) => [value, slider({ label: "learning rate", symbol: "η",
    min: 0.005 * flat, max: wellFastest * flat, step: 0.005 * flat, oninput: (lr) => moveTo({ lr }) })]);
  const walkers = dropdown("rule", Object.entries({ gradient_descent: "gradient descent", schedule_free_sgd: "schedule-free SGD",
    schedule_free_adamw: "schedule-free AdamW" }), (rule) => moveTo({ rule }));
  const noise = slider({ label: "gradient noise", symbol: "σ", min: 0, max: 2, step: 0.05, oninput: (noise) => moveTo({ noise }) });
  const when = slider({ label: "step", symbol: "", min: 0, max: get("steps"), step: 1, oninput: (frame) => set({ frame }) });
  const onRidge = button("", "On the ridge", () => moveTo({ start: 0 }));
  const nudge = button("", "Nudge: 0.001", () => moveTo({ start: 0.001 }));
  const again = button("", "Next seed", () => moveTo({ seed: (get("seed") + 1) % wellSeeds }));
  const tag = html("p", { class: "gdl-regime" });
  const says = html("p", { class: "gdl-says" });
  const fan = endings.map((_, i) => svg("path", { class: `gdl-fan gdl-ending-${i}` }));
  const time = svg("path", { class: "gdl-trail gdl-thin" });
  const timeNames = svg("g", {});
  const timePicture = canvas("The way, step by step", [...fan, time], timeNames);
  timePicture.prepend(grids[2]);
  const predict = prediction({
    options: endingWords.map(([text], i) => [endings[i], text]),
    onguess(guess) {
      judged = asked();
      set({ guess, frame: get("steps") });
    },
    onagain() {
      const now = wellQuestions.findIndex(([start, lr]) => start === get("start") && Math.abs(lr * ground().flat - get("lr")) < 1e-9);
      const [start, lr] = wellQuestions[(now + 1) % wellQuestions.length];
      moveTo({ start, lr: lr * ground().flat, noise: 0, guess: "", ask: true });
    },
  });
  const root = frame({ stage, line, side: [predict, tag, surfaces, walkers, html("div", { class: "gdl-row" }, onRidge, nudge), ...rates.map(([, node]) => node), noise, again, says, timePicture, when] });
  const moveTo = (changes) => set({ ...changes, frame: get("steps") });

  // ---- drawing

  function layOut(width) {
    box = { left: 46, right: width - 12, top: 24, bottom: 190 };
    map = { ...box, top: 76, bottom: 262 };
    side = Math.max(200, Math.floor(timePicture.parentNode.clientWidth));
    x = scale([-wellReach, wellReach], [box.left, box.right]);
    y = scale(ground().up, [box.bottom, box.top]);
    down = scale([0, wellFastest * ground().flat], [map.bottom, map.top]);
    picture.cut(width, 194, box, 3);
    diagram.cut(width, 304, map);
    drawAxes(grids[0], x, y, box, { ...ground(), across: 4, up: 3, xName: "", xText: () => "" });
    drawAxes(grids[1], x, down, map, { across: 4, xName: `start ${ground().who}₀`, yName: "learning rate η" });
    const line = (height) => trace(startsOf(300).map((at) => [x(at), y(height(at))]));
    // Along a contour of the saddle ½x² = L + ½y² − ¼y⁴.
    const half = (level, at) => 2 * level + at * at - at ** 4 / 2;
    const near = (level, at) => [-0.013, 0, 0.013].some((by) => half(level, at + by) > 0);  // so that a contour closes
    const contour = (level) => [-1, 1].map((sign) => line((at) => (near(level, at) ? sign * Math.sqrt(Math.max(0, half(level, at))) : NaN))).join("");
    build(curve, plane() ? { class: "gdl-heights", d: [-0.22, -0.12, 0, 0.25, 0.7, 1.3, 2.1, 3].map(contour).join("") }
      : { class: "gdl-curve", d: line(doubleWell.loss) }, []);
  }

  const startsOf = (count) => Array.from({ length: count }, (_, i) => -wellReach + (2 * wellReach * (i + 0.5)) / count);
  const tile = (left, top, right, bottom) => `M${left.toFixed(1)} ${top.toFixed(1)}H${right.toFixed(1)}V${bottom.toFixed(1)}H${left.toFixed(1)}z`;
  // Tiles of a row of endings, neighbours in one piece; `pieces` gathers [width, x, y] of each ending's.
  function row(drawn, found, top, bottom, pieces) {
    const edge = scale([0, found.length], [map.left, map.right]);
    found.forEach((ending, i) => {
      if (ending === found[i - 1]) return;
      const next = found.findIndex((other, j) => j > i && other !== ending);
      const [left, right] = [edge(i), edge(next < 0 ? found.length : next)];
      drawn[ending] += tile(left, top, right, bottom);
      pieces?.[ending].push([right - left, (left + right) / 2, (top + bottom) / 2]);
    });
  }
  // Where an ending's name stands: amid its pieces, wide ones counting most; in the widest if amid them is something else.
  function nameOf(pieces, i) {
    const [weight, sx, sy] = pieces.reduce((sums, [wide, ...at]) => [1, ...at].map((number, k) => sums[k] + wide ** 4 * number), [0, 0, 0]);
    if (weight < 1e8) return "";
    let [mx, my] = [sx / weight, sy / weight];
    if (!pieces.some(([wide, px, py]) => Math.abs(px - mx) < wide / 2 && Math.abs(py - my) < 6))
      [, mx, my] = pieces.reduce((widest, piece) => (piece[0] > widest[0] ? piece : widest));
    return words(mx, Math.max(my + 5, map.top + 14), "gdl-here", "middle", endingWords[i][0]);
  }
  // Fills the paths of all endings, when what they show has changed.
  function fill(nodes, draw) {
    const drawn = endings.map(() => "");
    if (!hidden() && !(own() && !get("outcomes").length)) draw(drawn);
    nodes.forEach((node, i) => node.setAttribute("d", drawn[i]));
  }

  // The basins at this rate; with noise, how many of the seeds end where. Below, the bold seed at every rate.
  function paintMaps() {
    const [lr, noise, rows] = [get("lr"), get("noise"), get("outcomes").map(places)];
    const ending = (start, lr, push) => wellEnding(rule(), ground().slope, start, lr, noise, push);
    const pushes = kicks.map((one) => one.map(across));
    const size = rule().average ? 2 : 1;  // of tiles: averages take longer to come to rest
    const [top, bottom] = [24, 48];
    let now = JSON.stringify([laid, hidden(), get("rule"), lr, noise, noise && walkedFor, rows]);
    if (now !== stripFor) fill(strip, (drawn) => {
      if (own()) return row(drawn, rows[0], top, bottom);
      const starts = startsOf(noise ? 64 / size : 2 * Math.round((box.right - box.left) / 4));
      if (!noise) return row(drawn, starts.map((start) => ending(start, lr)), top, bottom);
      const edge = scale([0, starts.length], [map.left, map.right]);
      starts.forEach((start, i) => pushes.slice(1).map((push) => ending(start, lr, push)).sort().forEach((ending, k) =>
        (drawn[ending] += tile(edge(i), top + (k * (bottom - top)) / wellSeeds, edge(i + 1), top + ((k + 1) * (bottom - top)) / wellSeeds))));
    });
    stripFor = now;
    now = JSON.stringify([laid, hidden(), get("rule"), noise && [noise, get("seed"), get("steps")], rows]);
    if (now !== mapFor) fill(tiles, (drawn) => {
      pieces = endings.map(() => []);
      const cell = noise ? 6 : 3 * size;
      const starts = startsOf(2 * Math.round((map.right - map.left) / cell / 2));  // even: none exactly on the ridge
      const count = own() ? rows.length - 1 : Math.round((map.bottom - map.top) / cell);
      const edge = scale([0, count], [map.bottom, map.top]);
      for (let j = 0; j < count; j++)
        row(drawn, own() ? rows[j + 1] : starts.map((start) => ending(start, (wellFastest * ground().flat * (j + 0.5)) / count, pushes[0])), edge(j + 1), edge(j), pieces);
    });
    mapFor = now;
  }

  const spot = (point) => [x(across(point)), y(plane() ? point[0] : doubleWell.loss(point[0]))].map((pixel) => clamp(pixel, -9999, 9999));

  function paint(width) {
    if (laid !== width + get("surface")) {
      laid = width + get("surface");
      layOut(width);
    }
    walkAgain();  // a frame may fall between a change and the redraw it asks for
    const path = own() ? bold() : pathFrom(shown, 0);
    const whole = Math.floor(shown.frame + 1e-9);
    const spots = path.slice(0, whole + 1).filter((point) => point.every(Number.isFinite)).map(spot);
    trail.setAttribute("d", trace(spots));
    cloud.setAttribute("d", hidden() ? "" : paths.slice(1).map((path) => trace([spot(path[Math.min(whole, path.length - 1)])]) + "h0").join(""));
    dots.replaceChildren(...spots.map(([cx, cy], i) => svg("circle", { cx, cy, r: i + 1 < spots.length ? 3.5 : 7, class: i + 1 < spots.length ? "gdl-past" : "gdl-now" })));
    const [sx, sy] = [clamp(spots[0][0], box.left, box.right), clamp(spots[0][1], 12, 184)];
    const called = (at, text, lower) => words(spot([0, at])[0], spot(plane() ? [0, at] : [at])[1] + lower, "gdl-minimum-name", "middle", text);
    const late = sx > width - 70;
    names.replaceChildren(called(-1, "left well", 16), called(1, "right well", 16), called(0, ground().ridge, 18),
      words(sx + (late ? -12 : 12), sy - 5, "gdl-here", late ? "end" : "start", "start"));
    start.place(sx, sy, sx, sy);
    paintMaps();
    const gy = clamp(down(shown.lr), map.top, map.bottom);
    grip.place(sx, gy);
    const clear = !hidden() && !own() && !kicks.length;
    mapNames.replaceChildren(...(clear ? [stroke(x(0), map.top, x(0), map.bottom, "gdl-ridge")] : []),
      words(map.left, 15, "gdl-quiet-name", "start", ends.length > 1 ? `of ${wellSeeds} seeds from here, how many end where` : "where walks from here end"),
      ...(kicks.length ? [words(map.right, map.top - 9, "gdl-quiet-name", "end", `with seed ${get("seed")}’s noise`)] : []),
      stroke(sx, 0, sx, gy - 11, "gdl-plumb"),
      ...(scaled() ? [] : [[0.125, "1/L″"], [0.25, "2/L″"]]).flatMap(([lr, text]) => [stroke(map.left, down(lr * ground().flat), map.right, down(lr * ground().flat), "gdl-signal"),
        words(map.right - 4, down(lr * ground().flat) - 4, "", "end", `${text} = ${fmt(lr * ground().flat)}`)]),
      ...(hidden() ? [words(x(0), down(0.4 * ground().flat), "gdl-here", "middle", "predict first")]
        : pieces.map(nameOf)));
    paintTime(path, whole);
  }

  function paintTime(path, whole) {
    const space = { left: 30, right: side - 8, top: 26, bottom: 138 };
    const along = scale([0, get("steps")], [space.left, space.right]);
    const up = scale([-wellReach, wellReach], [space.bottom, space.top]);
    up.ticks = () => [-1, 0, 1];
    timePicture.cut(side, 162, space, 3);
    drawAxes(grids[2], along, up, space, { across: 4, xName: "", yName: `${ground().who}, step by step` });
    const upTo = (path) => trace(path.slice(0, whole + 1).map((point, k) => [along(k), clamp(up(across(point)), -999, 999)]));
    fan.forEach((node, i) => node.setAttribute("d", hidden() ? "" : paths.slice(1).filter((_, k) => ends[k + 1] === i).map(upTo).join("")));
    time.setAttribute("d", upTo(path));
    const off = escape(path);
    timeNames.replaceChildren(...(off > 0 && off <= whole ? [stroke(along(off), space.top, along(off), space.bottom, "gdl-signal")] : []));
  }

  // ---- numbers

  function write() {
    walkAgain();
    const [now, off] = [at(), escape(bold())];
    const here = bold()[now];
    const some = ends.slice(ends.length > 1 ? 1 : 0);
    const counts = endings.map((_, i) => some.filter((one) => one === i).length);
    const ending = endingWords[ends[0]] || ["", ""];
    Object.assign(root.dataset, { path: JSON.stringify(plane() ? bold() : bold().flat()), counts: JSON.stringify(counts), ending: endings[ends[0]], escape: off, frame: now });
    tag.setAttribute("class", `gdl-regime gdl-ending-${hidden() ? 2 : ends[0]}`);
    tag.replaceChildren(...(hidden() ? ["?"] : [html("b", {}, ending[0]), " ", scaled() ? "" : together(`L″·η = ${fmt((8 * get("lr")) / ground().flat)}`)]));
    const say = [html("b", {}, `Step ${now} of ${last()}.`), " ", together(`η = ${fmt(get("lr"))},`), " ", together(`${rule().average && !own() ? "average " : ""}${plane() ? "(x, y)" : "θ"} = ${plane() ? `(${here.map((one) => fmt(one)).join(", ")})` : fmt(here[0])},`),
      " ", together(`L = ${fmt(ground().loss(plane() ? here : here[0]))}.`), " "];
    if (get("trouble")) say.push(html("b", {}, get("trouble")));
    else if (off > 0 && off <= now) say.push(`Off the ridge after ${off} ${off > 1 ? "steps" : "step"}.`);
    line.replaceChildren(...say);
    says.textContent = hidden() ? "" : some.length > 1 ? `Of ${some.length} seeds: ` + counts.map((many, i) => many && `${many} ${endingWords[i][0]}`).filter(Boolean).join(", ") + "."
      : "Without noise every seed goes the same way.";
    const frozen = own() && model.kernel === false;  // without a kernel nobody can ask a learner's own step again
    walkers.set(get("rule"));
    for (const node of [surfaces, walkers, onRidge, nudge, noise, again]) node.hidden = frozen;
    for (const node of [start, grip]) node.style.display = frozen ? "none" : "";
    surfaces.set(get("surface"));
    for (const [value, node] of rates) {
      node.hidden = frozen || value !== get("surface");
      node.set(get("lr"));
    }
    noise.set(get("noise"));
    when.set(now);
    when.style.visibility = hidden() ? "hidden" : "";
    again.enable(get("noise") > 0);
    predict.hidden = !get("ask");
    predict.set({ question: `Start ${ground().who}₀ = ${fmt(get("start"))}, rate η = ${fmt(get("lr"))}. Where will it end?`,
      guess: get("guess"), judged: asked() === judged, answer: endings[ends[0]] || "left",
      why: ends[0] < 2 && get("start") > 0 !== ends[0] > 0 ? "A hop throws it across." : rule().average && ends[0] > 2 ? "" : ending[1] });
  }

  return animate({ model, el, root, stage, line, watched, shown, goal, write, paint,
    duration: (next) => (dragged ? 0 : next.frame > shown.frame + 1 ? 1600 : 300) });
}
