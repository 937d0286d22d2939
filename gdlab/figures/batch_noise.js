// Batch noise: the same steps at the same rate with gradients of all examples, of a few, or of one; many seeds make a
// fan, and beside it stands how the gradient's standard error falls with the batch size (gdlab/figures/batch_fan.py).

const fanCount = 64;
const fanStart = [-2, -1];
const fanSeeds = Array.from({ length: 40 }, (_, seed) => seed);
const fanSizes = [1, 2, 4, 8, 16, 32, 64];

// The line b + w·x and its 64 points; the loss is the mean of ½(b + w·x − y)².
function fanModel() {
  const chance = seeded(3);
  const inputs = Array.from({ length: fanCount }, (_, i) => -1.6 + (3.2 * i) / (fanCount - 1));
  const labels = inputs.map((x) => 1 + 2 * x + chance.normal());
  const every = inputs.map((_, i) => i);
  const mean = (numbers) => numbers.reduce((sum, one) => sum + one, 0) / numbers.length;
  const square = mean(inputs.map((x) => x * x));
  const off = ([b, w], i) => b + w * inputs[i] - labels[i];
  // The inputs' mean is 0, so that the loss is a bowl along the axes; as a sum over 64 points it would cost a fan its frames.
  const minimum = [mean(labels), mean(labels.map((y, i) => y * inputs[i])) / square];
  const lowest = mean(every.map((i) => off(minimum, i) ** 2)) / 2;
  function grad(theta, batch) {
    let [gb, gw] = [0, 0];
    for (const i of batch) {
      const r = off(theta, i);
      gb += r;
      gw += r * inputs[i];
    }
    return [gb / batch.length, gw / batch.length];
  }
  return {
    mean,
    square,
    full: (theta) => grad(theta, every),
    grad,
    loss: ([b, w]) => lowest + ((b - minimum[0]) ** 2 + square * (w - minimum[1]) ** 2) / 2,
    minimum,
    // s: the spread of the examples' own gradients, over both weights.
    deviation(theta) {
      const [gb, gw] = grad(theta, every);
      const squares = every.map((i) => (off(theta, i) - gb) ** 2 + (off(theta, i) * inputs[i] - gw) ** 2);
      return Math.sqrt((mean(squares) * fanCount) / (fanCount - 1));
    },
  };
}

function batchNoise(model, el) {
  const { get, set } = traits(model);
  const line64 = fanModel();
  const own = () => get("paths").length > 0;  // a learner's own gradient, walked in Python
  const size = () => get("batch_size");
  const last = () => get("steps");
  const at = () => clamp(get("frame"), 0, last());

  function batchesOf(seed) {
    const chance = seeded(seed);
    const batches = [];
    while (batches.length < last()) batches.push(...epochBatches(fanCount, size(), chance));
    return batches;
  }
  function walked(gradient) {
    const path = [fanStart];
    for (let step = 0; step < last(); step++) {
      const moved = gradient(path[step], step);
      path.push(path[step].map((weight, i) => weight - get("lr") * moved[i]));
    }
    return path;
  }
  function seedPath(seed) {
    const batches = batchesOf(seed);
    return walked((theta, step) => line64.grad(theta, batches[step]));
  }
  const read = (path) => path.map((point) => point.map((number) => (number === null ? NaN : number)));
  // The bold walk, then the fan. Only what changed is walked again.
  let [paths, full, walkedFor] = [[], [], ""];
  function walkAgain() {
    const now = JSON.stringify(own() ? get("paths") : ["batch_size", "lr", "seed", "steps"].map(get));
    if (now === walkedFor) return false;
    walkedFor = now;
    paths = own() ? get("paths").map(read) : [get("seed"), ...fanSeeds].map(seedPath);
    full = walked(line64.full);
    return true;
  }
  const here = (path, frame = at()) => path[Math.min(frame, path.length - 1)];

  const firsts = fanSeeds.map((seed) => seeded(seed).permutation(fanCount));
  const correction = (B) => Math.sqrt(1 - B / fanCount);
  function measured(theta, B) {
    const exact = line64.full(theta);
    return Math.sqrt(line64.mean(firsts.map((order) => {
      const [gb, gw] = line64.grad(theta, order.slice(0, B));
      return (gb - exact[0]) ** 2 + (gw - exact[1]) ** 2;
    })));
  }

  // What the eye sees: a frame that may lie between two whole ones, and how much of the change to other walks is over.
  const shown = { frame: at(), turn: 0, signal: 0 };
  let turn = 0;
  let [drawn, origin] = [[], []];

  // ---- the page

  let x, y, across, up;
  let laid = "";
  let side = 240;
  const grid = svg("g", { class: "gdl-grid" });
  const levels = svg("g", {});
  const fanLines = svg("path", { class: "gdl-fan" });
  const fanDots = svg("path", { class: "gdl-cloud" });
  const exactLine = svg("path", { class: "gdl-exact" });
  const bold = svg("path", { class: "gdl-trail gdl-thin" });
  const marks = svg("g", {});
  const names = svg("g", {});
  const picture = canvas("Walks over the loss of a line's two weights", [levels, fanLines, exactLine, fanDots, bold, marks], names);
  picture.prepend(grid);
  const stage = html("div", { class: "gdl-stage", tabindex: "0", role: "group",
    "aria-label": "Batch noise. Arrow keys step, Space plays, Home resets." }, picture);
  const line = html("p", { class: "gdl-line" });
  const play = player({ frame: at, last, go: (frame) => set({ frame }), pace: 400 });

  const errorGrid = svg("g", { class: "gdl-grid" });
  const signal = svg("g", {});
  const errorCurves = svg("g", {});
  const errorNames = svg("g", {});
  const grip = handle({ label: "batch size", min: 1, max: fanCount, step: 1, value: size,
    text: () => `B = ${size()}, standard error ${fmt(error(size()))}`,
    at: (event) => errorPicture.at(event), from: ([px]) => across.back(px), onmove: (batch_size) => set({ batch_size }) });
  grip.dataset.main = "";
  const errorPicture = canvas("The gradient's standard error over the batch size", [signal, errorCurves], errorNames, grip);
  errorPicture.prepend(errorGrid);
  const lossGrid = svg("g", { class: "gdl-grid" });
  const losses = svg("g", {});
  const lossPicture = canvas("The loss over the steps", [losses]);
  lossPicture.prepend(lossGrid);

  const sizes = segments("batch size", [[1, "one"], [8, "mini: 8"], [fanCount, `all ${fanCount}`]],
    (batch_size) => set({ batch_size: Number(batch_size) }));
  const rate = slider({ label: "learning rate", symbol: "η", min: 0.02, max: 1, step: 0.02, oninput: (lr) => set({ lr }) });
  const many = toggle("40 seeds", (fan) => set({ fan }));
  many.classList.add("gdl-plain");
  const again = button("", "Next seed", () => set({ seed: (get("seed") + 1) % fanSeeds.length }));
  const root = frame({ stage, line, foot: play.bar, onkeydown: play.onkeydown,
    side: [sizes, rate, html("div", { class: "gdl-row" }, many, again), errorPicture,
    html("p", { class: "gdl-note" }, "Line: s/√B · √(1 − B/64), drawn without putting back. Dots: measured, 40 batches each."),
    lossPicture] });

  // ---- drawing

  let [deviation, dots] = [0, []];  // s at the full batch's point: the error's picture is drawn in units of it
  let measuredAt = "";
  let along, height;
  const expected = (B) => correction(B) / Math.sqrt(B);
  const error = (B) => deviation * expected(B);

  function layOut(width) {
    side = Math.max(200, Math.floor(errorPicture.parentNode.clientWidth));
    const height = clamp(Math.round(width * 0.72), 290, 440);
    const box = { left: 40, right: width - 8, top: 12, bottom: height - 28 };
    const unit = Math.min((box.right - box.left) / 6.2, (box.bottom - box.top) / 5.6);
    const [wide, high] = [(box.right - box.left) / unit / 2, (box.bottom - box.top) / unit / 2];
    x = scale([-0.5 - wide, -0.5 + wide], [box.left, box.right]);
    y = scale([0.6 - high, 0.6 + high], [box.bottom, box.top]);
    picture.cut(width, height, box, 3);
    drawAxes(grid, x, y, box, { across: 6, xName: "intercept b", yName: "slope w", inside: true });
    const [cx, cy] = [x(line64.minimum[0]), y(line64.minimum[1])];
    levels.replaceChildren(...[0.5, 1, 1.7, 2.5, 3.5, 4.7, 6.2, 8].map((radius) =>
      svg("ellipse", { cx, cy, rx: radius * unit, ry: (radius * unit) / Math.sqrt(line64.square), class: "gdl-level" })));
    layOutErrors();
    layOutLosses();
  }

  function layOutErrors() {
    const box = { left: 32, right: side - 20, top: 26, bottom: 156 };
    across = scale([1, fanCount], [box.left, box.right], true);
    across.ticks = () => [1, 4, 16, 64];
    up = scale([0, 1.1], [box.bottom, box.top]);
    up.ticks = () => [0, 0.25, 0.5, 1];
    errorPicture.cut(side, 198, box, 6);
    drawAxes(errorGrid, across, up, box, { xName: "batch size B", yName: "a gradient's standard error",
      yText: (part) => ({ 0: "0", 1: "s" })[part] || `s/${1 / part}` });
    drawErrors();
  }

  const place = ([b, w]) => [clamp(x(b), -9999, 9999), clamp(y(w), -9999, 9999)];
  const between = (path, step) => {
    const whole = Math.min(Math.floor(step + 1e-9), path.length - 1);
    const part = whole + 1 < path.length ? clamp(step - whole, 0, 1) : 0;
    const [from, to] = [path[whole], path[whole + 1] || path[whole]];
    return [...path.slice(0, whole + 1), ...(part > 1e-9 ? [from.map((number, i) => number + (to[i] - number) * part)] : [])];
  };

  function paint(width) {
    if (laid !== (laid = `${width} ${last()}`)) layOut(width);
    const part = clamp(1 - (turn - shown.turn), 0, 1);
    drawn = paths.map((path, i) => (part === 1 || origin[i]?.length !== path.length ? path
      : path.map((point, k) => point.map((number, j) => origin[i][k][j] + (number - origin[i][k][j]) * part))));
    const [first, ...rest] = drawn.map((path) => between(path, shown.frame).map(place));
    const fan = get("fan") ? rest : [];
    fanLines.setAttribute("d", fan.map(trace).join(""));
    fanDots.setAttribute("d", fan.map((path) => trace(path.slice(-1)) + "h0").filter((d) => d !== "h0").join(""));
    exactLine.setAttribute("d", trace(between(full, shown.frame).map(place)));
    bold.setAttribute("d", trace(first));
    const solid = first.filter(([px, py]) => Number.isFinite(px + py));
    const [mx, my] = place(line64.minimum);
    const [sx, sy] = place(fanStart);
    const [px, py] = solid[solid.length - 1];
    marks.replaceChildren(
      ...solid.slice(0, -1).map(([cx, cy]) => svg("circle", { cx, cy, r: 4, class: "gdl-past" })),
      svg("circle", { cx: mx, cy: my, r: 6, class: "gdl-minimum" }),
      svg("circle", { cx: px, cy: py, r: 7, class: "gdl-now" }));
    const [ex, ey] = place(here(full, Math.min(4, Math.floor(shown.frame))));
    const inside = px > 45 && px < width - 60 && py > 24;
    names.replaceChildren(
      words(sx - 11, sy + 17, "gdl-minimum-name", "end", "start"),
      words(mx + 4, my + 24, "gdl-minimum-name", "start", "minimum"),
      ...(shown.frame >= 1 && size() < fanCount ? [words(ex + 34, ey + 32, "gdl-tangent-name", "start", "full batch")] : []),
      ...(shown.frame >= 1 && inside ? [words(px - 9, py - 12, "gdl-step-name", "end", size() < fanCount ? own() ? "yours" : `seed ${get("seed")}` : "every seed")] : []));
    paintErrors();
    paintLosses();
  }

  // Only what a drag or the time changes is drawn at each frame: the rest stands.
  function drawErrors() {
    const [rule, exact] = [[], []];
    for (let k = 0; k <= 60; k++) {
      const B = fanCount ** (k / 60);
      rule.push([across(B), up(1 / Math.sqrt(B))]);
      exact.push([across(B), up(expected(B))]);
    }
    errorCurves.replaceChildren(
      svg("path", { class: "gdl-trail gdl-quiet-line", d: trace(rule) }),
      svg("path", { class: "gdl-exact gdl-whole-line", d: trace(exact) }),
      ...dots.map((value, i) => svg("circle", { cx: across(fanSizes[i]), cy: up(value / deviation), r: 3.5, class: "gdl-measured" })));
  }

  function paintErrors() {
    signal.replaceChildren(stroke(across(1), up(shown.signal), across(fanCount), up(shown.signal), "gdl-signal"));
    errorNames.replaceChildren(
      words(across(2.4), up(1 / Math.sqrt(2.4)) - 4, "gdl-tangent-name", "start", "s/√B"),
      ...(shown.signal > 0.3 ? [words(across(fanCount), up(Math.min(shown.signal, 1)) - 5, "gdl-quiet-name", "end", "length of ∇L")] : []));
    grip.querySelector("text").textContent = `B = ${size()}`;
    grip.place(across(size()), up(expected(size())), across(size()), up(0));
  }

  function layOutLosses() {
    const box = { left: 32, right: side - 20, top: 26, bottom: 122 };
    along = scale([0, last()], [box.left, box.right]);
    height = scale([0.3, 16], [box.bottom, box.top], true);
    lossPicture.cut(side, 148, box, 4);
    drawAxes(lossGrid, along, height, box, { across: 5, up: 3, xName: "", yName: "loss, step by step" });
  }

  function paintLosses() {
    const curve = (path) => trace(between(path, shown.frame).map((theta, i, all) =>
      [along(i === all.length - 1 ? Math.min(shown.frame, path.length - 1) : i), clamp(height(line64.loss(theta)), -999, 999)]));
    losses.replaceChildren(
      svg("path", { class: "gdl-fan", d: get("fan") ? drawn.slice(1).map(curve).join("") : "" }),
      svg("path", { class: "gdl-exact", d: curve(full) }),
      svg("path", { class: "gdl-trail gdl-thin", d: curve(drawn[0]) }));
  }

  // ---- numbers

  function write() {
    const before = drawn;
    if (walkAgain() && before.length) {
      [origin, turn] = [before, turn + 1];
      shown.turn = turn - 1;
    }
    const theta = here(full);
    if (measuredAt !== (measuredAt = String(theta))) {
      deviation = line64.deviation(theta);
      dots = fanSizes.map((B) => measured(theta, B));
      if (laid) drawErrors();
    }
    const ends = paths.slice(1).map((path) => here(path));
    const mean = [0, 1].map((j) => line64.mean(ends.map((point) => point[j])));
    const spread = Math.sqrt(line64.mean(ends.map(([b, w]) => (b - mean[0]) ** 2 + (w - mean[1]) ** 2)));
    root.dataset.path = JSON.stringify(paths[0]);
    root.dataset.fan = JSON.stringify(ends);
    root.dataset.errors = JSON.stringify(fanSizes.map(error));
    root.dataset.measured = JSON.stringify(dots);
    root.dataset.spread = spread;
    root.dataset.frame = at();
    const looked = own() ? at() * size() : batchesOf(get("seed")).slice(0, at()).flat().length;
    const say = [html("b", {}, `Step ${at()} of ${last()}.`), " ", together(`Loss ${fmt(line64.loss(here(paths[0])))},`), " ",
      together(`${looked} examples looked at.`), " "];
    if (get("trouble")) say.push(html("b", { class: "gdl-trouble" }, get("trouble")));
    else say.push(together(size() === fanCount || !at() ? "All seeds are in one place." : `The ${fanSeeds.length} seeds are spread by ${fmt(spread)}.`));
    line.replaceChildren(...say);
    sizes.set(size());
    rate.set(get("lr"));
    many.set(get("fan"));
    // Without a kernel nobody can walk a learner's own gradient again: what would ask for it is put away.
    const frozen = own() && model.kernel === false;
    for (const node of [sizes, rate, again]) node.hidden = frozen;
    grip.style.display = frozen ? "none" : "";
    play.refresh();
  }

  walkAgain();
  return animate({
    model, el, root, stage, line, shown, write, paint, stop: play.pause,
    watched: ["batch_size", "lr", "seed", "fan", "steps", "frame", "paths", "trouble"],
    goal: () => ({ frame: at(), turn, signal: Math.hypot(...line64.full(here(full))) / line64.deviation(here(full)) }),
    duration: (next) => (next.frame === shown.frame + 1 ? 350 : 300),
  });
}
