// Learning-rate regimes: one bowl, one start, and what the rate makes of the walk. The product of curvature and rate
// decides (gdlab/figures/regimes.py); the reader predicts before the walk is shown.

const curvature = 2;  // L'' of the bowl
const regimeWords = {
  crawling: ["crawling", "It goes the right way, in steps too short to arrive."],
  converging: ["converging", "It comes closer from one side at every step."],
  overshooting: ["overshooting", "It hops across the minimum, and still lands closer each time."],
  critical: ["critical", "It hops to the same two points for ever: the loss stays."],
  diverging: ["diverging", "Each hop lands further out than the last: the loss climbs."],
};

function regimeOf(lr) {
  const product = curvature * lr;
  if (Math.abs(product - 2) <= 2e-9) return "critical";
  if (product > 2) return "diverging";
  return product < 0.1 ? "crawling" : product <= 1 ? "converging" : "overshooting";
}

function learningRateRegimes(model, el) {
  const { get, set } = traits(model);
  const path = () => descend(bowl.grad, get("theta0"), get("lr"), get("steps"));
  const last = () => get("steps");
  const at = () => (hidden() ? 0 : clamp(get("frame"), 0, last()));
  const hidden = () => get("ask") && !get("guess");  // nothing is shown before the reader has predicted
  let judged = get("lr");  // the rate that the guess was about
  const questions = [0.02, 1.05, 0.3, 0.9, 1, 0.5];

  // What the eye sees: the frame, how far the view reaches, and the rate (so that the walk glides when the rate jumps).
  const shown = { frame: 0, reach: 4, lr: get("lr") };
  function goal(held) {
    const far = Math.max(...path().slice(0, at() + 1).filter(Number.isFinite).map((theta) => Math.abs(theta - bowl.minimum)));
    return { frame: at(), reach: held ? shown.reach : Math.log(clamp(1.12 * far, 4.6, 1e6)), lr: get("lr") };
  }

  // ---- the page

  let [x, y] = [];
  let laid = {};  // what was measured at this width: asking the page at every frame would make it slow
  const grid = svg("g", { class: "gdl-grid" });
  const curve = svg("path", { class: "gdl-curve" });
  const walk = svg("g", {});
  const names = svg("g", {});
  const grip = handle({ label: "start", min: -3, max: 9, step: 0.1, value: () => get("theta0"),
    text: () => `θ₀ = ${fmt(get("theta0"))}`, at: (event) => picture.at(event), from: ([px]) => x.back(px),
    onmove: (theta0) => set({ theta0 }) });
  const picture = canvas("The loss curve and the walk on it", [curve, walk], names, grip);
  picture.prepend(grid);
  const lossGrid = svg("g", { class: "gdl-grid" });
  const losses = svg("g", {});
  const lossPicture = canvas("The loss over the steps", [losses]);
  lossPicture.prepend(lossGrid);
  const stage = html("div", { class: "gdl-stage", tabindex: "0", role: "group",
    "aria-label": "Walks on the bowl. Arrow keys step, Space plays, Home resets." }, picture);
  const line = html("p", { class: "gdl-line" });
  const play = player({ frame: at, last: () => (hidden() ? 0 : last()), go: (frame) => set({ frame }), pace: 600 });
  const ruler = svg("svg", { class: "gdl-ruler", "aria-hidden": "true" });
  const rate = slider({ label: "learning rate", symbol: "η", min: 0, max: 1.2, step: 0.005, oninput: (lr) => choose(lr) });
  rate.querySelector("input").dataset.main = "";
  const presetRates = [[0.02, "too small"], [0.3, "right"], [1.05, "too big"]];
  const presets = segments("presets", presetRates, (lr) => {
    choose(lr);
    if (!hidden()) replay();
  });
  const tag = html("p", { class: "gdl-regime" });
  const predict = prediction({
    options: Object.entries(regimeWords).map(([name, [text]]) => [name, text]),
    onguess: (guess) => {
      judged = get("lr");
      set({ guess });
      replay();
    },
    onagain: () => {
      play.pause();
      const next = questions[(questions.indexOf(get("lr")) + 1) % questions.length];
      set({ lr: next, guess: "", ask: true, frame: last() });
    },
  });
  const root = frame({ stage, line, foot: play.bar, onkeydown: play.onkeydown,
    side: [predict, tag, html("div", { class: "gdl-rate" }, rate, ruler), presets, lossPicture] });

  // A new rate is a new walk; it is shown whole, unless its prediction is still open.
  function choose(lr) {
    play.pause();
    set({ lr, frame: last() });
  }
  function replay() {
    play.pause();
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return set({ frame: last() });
    set({ frame: 0 });
    play.play();
  }

  // ---- drawing

  function paint(width) {
    const height = clamp(Math.round(width * 0.7), 270, 400);
    const distance = Math.exp(shown.reach);
    const ceiling = 1.1 * (distance * distance + 0.5);
    const box = { left: 50, right: width - 10, top: 12, bottom: height - 30 };
    x = scale([bowl.minimum - 1.3 * distance, bowl.minimum + 1.3 * distance], [box.left, box.right]);
    y = scale([-0.12 * ceiling, ceiling], [box.bottom, box.top]);
    picture.cut(width, height, { ...box, top: 0 });
    drawAxes(grid, x, y, box, { xName: "θ", yName: "loss L", inside: true, least: 0 });
    const points = [];
    for (let px = box.left; px <= box.right; px += 2) points.push([px, y(bowl.loss(x.back(px)))]);
    curve.setAttribute("d", trace(points));
    const all = descend(bowl.grad, get("theta0"), shown.lr, last()).filter((theta) => Number.isFinite(bowl.loss(theta)));
    const spot = (theta) => [clamp(x(theta), -9999, 9999), clamp(y(bowl.loss(theta)), -9999, 9999)];
    const whole = Math.min(Math.floor(shown.frame + 1e-9), all.length - 1);
    const part = whole + 1 < all.length ? shown.frame - whole : 0;
    let [px, py] = spot(all[whole]);
    if (part > 1e-9) {  // a hop from point to point, in a low arc
      const [nx, ny] = spot(all[whole + 1]);
      [px, py] = [px + (nx - px) * part, py + (ny - py) * part - 40 * part * (1 - part)];
    }
    walk.replaceChildren(
      svg("path", { class: "gdl-trail gdl-thin", d: trace(all.slice(0, whole + 1).map(spot)) + (part > 1e-9 ? `L${px} ${py}` : "") }),
      ...all.slice(0, whole + 1).map((theta, i) => svg("circle", { cx: spot(theta)[0], cy: spot(theta)[1], r: i ? 5 : 6.5, class: "gdl-past" })),
      svg("circle", { cx: x(bowl.minimum), cy: y(bowl.loss(bowl.minimum)), r: 6, class: "gdl-minimum" }),
      svg("circle", { cx: px, cy: py, r: 8, class: "gdl-now" }));
    const start = spot(all[0]);
    const left = all[0] < bowl.minimum;
    const outward = all[whole] < bowl.minimum;  // names stand outside the bowl
    names.replaceChildren(
      words(x(bowl.minimum), y(bowl.loss(bowl.minimum)) + 22, "gdl-minimum-name", "middle", "minimum"),
      ...(whole && part < 1e-9 ? [words(px + (outward ? -13 : 13), py - 8, "gdl-here", outward ? "end" : "start", `θ${sub(whole)} = ${fmt(all[whole])}`)] : []),
      words(start[0] + (left ? -12 : 12), start[1] - 4, "gdl-here", left ? "end" : "start", `θ₀ = ${fmt(all[0])}`));
    const floor = clamp(start[0], box.left, box.right);
    grip.place(floor, Math.max(start[1], 0), floor, box.bottom);
    if (laid.width !== width) laid = { width, side: Math.max(200, Math.floor(lossPicture.parentNode.clientWidth)) };
    paintLosses(all, whole);
    paintRuler();
  }

  function paintLosses(all, whole) {
    const width = laid.side;
    const box = { left: 46, right: width - 8, top: 24, bottom: 96 };
    const loss = all.map(bowl.loss);
    const high = Math.min(1e15, Math.max(17, ...loss.slice(0, whole + 1)));
    const along = scale([0, last()], [box.left, box.right]);
    const up = scale([0, 1.05 * high], [box.bottom, box.top]);
    lossPicture.cut(width, 118, box, 6);
    drawAxes(lossGrid, along, up, box, { across: 4, up: 2, xName: "", yName: "loss L, step by step" });
    const spots = loss.slice(0, whole + 1).map((value, i) => [along(i), up(Math.min(value, 1e16))]);
    losses.replaceChildren(svg("path", { class: "gdl-trail gdl-thin", d: trace(spots) }),
      ...spots.map(([px, py]) => svg("circle", { cx: px, cy: py, r: 3.5, class: "gdl-past" })));
  }

  // Under the slider: where 1/L'' and 2/L'' are, and what lies between.
  function paintRuler() {
    const track = rate.querySelector("input");
    if (laid.max === track.max) return;
    laid.max = track.max;
    const base = ruler.getBoundingClientRect();
    const span = track.getBoundingClientRect();
    const thumb = 16;
    const place = scale([Number(track.min), Number(track.max)], [span.left - base.left + thumb / 2, span.right - base.left - thumb / 2]);
    build(ruler, { width: Math.floor(base.width), height: 34 }, []);
    ruler.replaceChildren(...[[1 / curvature, "1/L″"], [2 / curvature, "2/L″"]].flatMap(([lr, text]) => [
      stroke(place(lr), 0, place(lr), 9, "gdl-mark"), words(place(lr), 24, "", "middle", `${text} = ${fmt(lr)}`)]));
  }

  // ---- numbers

  function write() {
    const all = path();
    const now = at();
    const name = regimeOf(get("lr"));
    const product = fmt(curvature * get("lr"));
    root.dataset.path = JSON.stringify(all);
    root.dataset.frame = now;
    root.dataset.regime = name;
    tag.replaceChildren(...(hidden() ? ["?"] : [html("b", {}, name), " ", together(`L″·η = ${product}`)]));
    const say = [html("b", {}, `Step ${now} of ${last()}.`), " ", together(`θ = ${fmt(all[now])},`), " ", together(`L = ${fmt(bowl.loss(all[now]))}.`), " "];
    say.push(hidden() ? `What will η = ${fmt(get("lr"))} do? Predict first.` :
      `Each step multiplies the distance to the minimum by ${fmt(1 - curvature * get("lr"))}.`);
    line.replaceChildren(...say);
    rate.set(get("lr"));
    presets.set(get("lr"));
    predict.hidden = !get("ask");
    presets.querySelectorAll("span").forEach((span, i) => (span.textContent = hidden() ? `η = ${presetRates[i][0]}` : presetRates[i][1]));
    predict.set({ question: `η = ${fmt(get("lr"))}, ${last()} steps from θ = ${fmt(get("theta0"))}. What will happen?`,
      guess: get("guess"), judged: get("lr") === judged, answer: name, why: regimeWords[name][1] });
    play.refresh();
  }

  return animate({
    model, el, root, stage, line, shown, goal, write, paint, stop: play.pause,
    watched: ["lr", "theta0", "steps", "frame", "ask", "guess"],
    duration: (next) => (next.frame === shown.frame + 1 ? 450 : 350),
  });
}
