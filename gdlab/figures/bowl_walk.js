// Bowl walk: a few steps on L = (θ − 3)² + 0.5, with the slope at each point and the step it causes.

function bowlWalk(model, el) {
  const { get, set } = traits(model);
  const own = () => get("path").length > 0;  // a learner's own step function, walked in Python
  const path = () =>
    own()
      ? get("path").map((theta) => (theta === null ? NaN : theta))
      : descend(bowl.grad, get("theta0"), get("lr"), get("steps"), get("climb") ? 1 : -1);
  const last = () => path().length - 1;
  const at = () => clamp(get("frame"), 0, last());

  // What the eye sees: a frame that may lie between two whole ones, and the distance from the minimum that fits in.
  const shown = { frame: at(), reach: Math.log(4) };
  let width = 0;
  let x, y;

  function reach() {
    const far = path().slice(0, at() + 2).filter(Number.isFinite).map((theta) => Math.abs(theta - bowl.minimum));
    return Math.log(clamp(Math.max(4, ...far), 4, 1e9));
  }

  // ---- the page

  const grid = svg("g", { class: "gdl-grid" });
  const curve = svg("path", { class: "gdl-curve" });
  const slope = svg("g", { class: "gdl-slope" });
  const walk = svg("g", { class: "gdl-walk" });
  const names = svg("g", { class: "gdl-names" });
  const grip = handle({
    label: "start", min: -3, max: 9, step: 0.1,
    value: () => get("theta0"),
    text: () => `θ₀ = ${fmt(get("theta0"))}`,
    at: (event) => picture.at(event),
    from: ([px]) => x.back(px),
    onmove: (theta0) => {
      play.pause();
      set({ theta0, frame: 0 });
    },
  });
  grip.dataset.main = "";
  const picture = canvas("The loss curve and the walk on it", [curve, slope, walk], names, grip);
  picture.prepend(grid);
  const stage = html("div", { class: "gdl-stage", tabindex: "0", role: "group",
    "aria-label": "Bowl walk. Arrow keys step, Space plays, Home resets." }, picture);
  const rule = html("p", { class: "gdl-rule" });
  const body = html("tbody", {});
  const table = html("table", { class: "gdl-table" },
    html("caption", {}, "The walk"),
    html("thead", {}, html("tr", {}, ["step", "θ", "slope", "L"].map((word) => html("th", { scope: "col" }, word)))),
    body);
  const line = html("p", { class: "gdl-line gdl-equation" });
  const play = player({ frame: at, last, go: (target) => set({ frame: target }) });
  const rate = slider({ label: "learning rate", symbol: "η", min: 0.01, max: 1.2, step: 0.01,
    oninput: (lr) => set({ lr }) });
  const flip = toggle("flip the sign", (climb) => set({ climb }));
  const root = frame({ stage, line, foot: play.bar, onkeydown: play.onkeydown,
    side: [rule, rate, flip, html("div", { class: "gdl-scroll" }, table)] });

  // ---- drawing

  const dot = (theta, r, kind) => svg("circle", { cx: x(theta), cy: y(bowl.loss(theta)), r, class: kind });
  const fitted = (px, py, kind, anchor, ...lines) =>
    words(anchor === "end" ? Math.max(px, 44 + extent(lines)) : Math.min(px, width - extent(lines)), py, kind, anchor, ...lines);

  function frameWindow() {
    const height = clamp(Math.round(width * 0.7), 270, 400);
    const distance = Math.exp(shown.reach);
    const top = 1.18 * (distance * distance + 0.5);
    const box = { left: 44, right: width - 10, top: 12, bottom: height - 30 };
    x = scale([bowl.minimum - 1.75 * distance, bowl.minimum + 1.4 * distance], [box.left, box.right]);
    y = scale([-0.14 * top, top], [box.bottom, box.top]);
    picture.cut(width, height, { ...box, top: 0 });
    return box;
  }

  function drawGrid(box) {
    drawAxes(grid, x, y, box, { xName: "θ", yName: "loss L", xText: fmt, yText: fmt, inside: true, least: 0 });
    const points = [];
    for (let px = box.left; px <= box.right; px += 2) points.push([px, y(bowl.loss(x.back(px)))]);
    curve.setAttribute("d", trace(points));
  }

  // The tangent, one unit of θ downhill with the fall that goes with it, and the step: −η · slope.
  function drawSlope(theta, next, moving) {
    slope.replaceChildren();
    if (!Number.isFinite(theta)) return;
    const grad = bowl.grad(theta);
    const loss = bowl.loss(theta);
    const downhill = grad > 0 ? -1 : 1;
    const [px, py] = [x(theta), y(loss)];
    const line = (at) => y(loss + grad * (at - theta));
    const [run, fall] = [x(theta + downhill), line(theta + downhill)];
    const length = clamp(width * 0.2, 50, 105) / Math.hypot(run - px, fall - py);  // its length in pixels is always the same
    const ends = [-1, 1].map((way) => theta + way * downhill * length);
    slope.append(
      svg("path", { class: "gdl-triangle", d: `M${px} ${py}H${run}V${fall}Z` }),
      stroke(x(ends[0]), line(ends[0]), x(ends[1]), line(ends[1]), "gdl-tangent"));
    const named = ends[line(ends[0]) > 30 ? 0 : 1];  // the upper end, unless it leaves the picture: both lie outside the bowl
    names.append(fitted(x(named) - 8 * downhill, line(named) + 5, "gdl-tangent-name", downhill > 0 ? "end" : "start",
      `slope ${fmt(grad)}`));
    if (!Number.isFinite(next)) return;
    const tip = x(next);
    const side = Math.sign(tip - px);
    const head = Math.min(11, Math.abs(tip - px));
    slope.append(
      stroke(tip, py, tip, y(bowl.loss(next)), "gdl-drop"),
      stroke(px, py, tip - side * head * 0.8, py, "gdl-step"),
      svg("path", { class: "gdl-head", d: `M${tip} ${py}l${-side * head} ${-head * 0.55}v${head * 1.1}z` }));
    if (!moving)
      names.append(fitted(px + 10 * side, py - 11, "gdl-step-name", side < 0 ? "end" : "start", `step ${signed(next - theta)}`));
  }

  function drawWalk(all, at) {
    const whole = Math.floor(at + 1e-9);
    const part = at - whole;
    const done = all.slice(0, whole + 1).filter(Number.isFinite);
    const [here, next] = [all[whole], all[whole + 1]];
    // Half of the way goes along (the step), half goes down (back onto the curve).
    let [px, py] = [x(here), y(bowl.loss(here))];
    if (part > 1e-9 && Number.isFinite(next)) {
      px = x(here + (next - here) * Math.min(1, part / 0.6));
      if (part > 0.6) py += (y(bowl.loss(next)) - py) * ((part - 0.6) / 0.4);
    }
    walk.replaceChildren(
      ...all.slice(whole + 1).filter(Number.isFinite).map((theta) => dot(theta, 4, "gdl-ghost")),
      svg("polyline", { class: "gdl-trail", points: done.map((theta) => `${x(theta)},${y(bowl.loss(theta))}`).join(" ") }),
      ...done.map((theta) => dot(theta, 5, "gdl-past")),
      svg("circle", { cx: x(bowl.minimum), cy: y(bowl.loss(bowl.minimum)), r: 6, class: "gdl-minimum" }));
    if (Number.isFinite(px + py)) walk.append(svg("circle", { cx: px, cy: py, r: 8, class: "gdl-now" }));
    drawNames(here, next, whole, part > 1e-9);
    drawSlope(here, next, part > 1e-9);
  }

  // The point's numbers stand outside the bowl; inside, above it, where the next step or the edge is in the way.
  function drawNames(here, next, whole, moving) {
    const left = !(here > bowl.minimum);
    names.replaceChildren(
      words(x(bowl.minimum) + (left ? 8 : -8), y(bowl.loss(bowl.minimum)) + 23, "gdl-minimum-name", left ? "start" : "end",
        width < 430 ? "minimum" : `minimum at θ = ${fmt(bowl.minimum)}`));
    if (moving || !Number.isFinite(here)) return;
    const lines = [`θ${sub(whole)} = ${fmt(here)}`, `L = ${fmt(bowl.loss(here))}`];
    const room = left ? x(here) - 44 : width - x(here);
    const narrow = width < 430 || room < 15 + extent(lines);
    const outward = (next - here) * (here - bowl.minimum) > 0;
    const inside = outward || narrow;
    const toLeft = left !== inside;
    if (inside && !outward) lines.splice(0, 2, lines.join(", "));  // one line, above the step's own
    names.append(fitted(x(here) + (toLeft ? -15 : 15), y(bowl.loss(here)) + (outward ? -24 : inside ? -29 : 12), "gdl-here",
      toLeft ? "end" : "start", ...lines));
  }

  function paint(now) {
    width = now;
    const box = frameWindow();
    drawGrid(box);
    const all = path();
    drawWalk(all, clamp(shown.frame, 0, all.length - 1));
    const px = clamp(x(all[0]), box.left, box.right);
    grip.place(px, Math.max(y(bowl.loss(all[0])), 0), px, box.bottom);
  }

  // ---- numbers

  // An equation has to find room on a phone: what is large gives up decimals.
  const short = (x) => fmt(x, clamp(3 - Math.floor(Math.log10(Math.abs(x) + 1)), 0, 3));
  const inBrackets = (text) => (text.startsWith("−") ? `(${text})` : text);

  function write() {
    const all = path();
    const now = at();
    const here = all[now];
    const lr = fmt(get("lr"));
    const sign = get("climb") ? "+" : "−";
    root.dataset.path = JSON.stringify(all);
    root.dataset.frame = now;
    root.classList.toggle("gdl-climbs", get("climb"));
    rule.replaceChildren(...(own()
      ? ["your own step"]
      : ["θ ← θ ", html("b", { class: "gdl-sign" }, sign), " ",
        html("span", { class: "gdl-move" }, html("i", {}, "η"), " · ", html("span", { class: "gdl-grad" }, "slope"))]));
    if (body.children.length !== all.length)
      body.replaceChildren(...all.map((_, i) =>
        html("tr", { onclick: () => (play.pause(), set({ frame: i })) },
          html("th", { scope: "row" }, html("button", { type: "button", "aria-label": `show step ${i}` }, String(i))),
          html("td", {}), html("td", {}), html("td", {}))));
    all.forEach((theta, i) => {
      const row = body.children[i];
      row.className = i < now ? "gdl-was" : i > now ? "gdl-will" : "gdl-is";
      if (i === now) row.setAttribute("aria-current", "step");
      else row.removeAttribute("aria-current");
      [theta, bowl.grad(theta), bowl.loss(theta)].forEach((value, j) => (row.children[j + 1].textContent = fmt(value)));
    });
    const grad = bowl.grad(here);
    const say = [html("b", {}, `Step ${now} of ${last()}.`), " ", together(`θ = ${fmt(here)},`), " ",
      together(`slope = ${fmt(grad)},`), " ", together(`L = ${fmt(bowl.loss(here))}.`), " "];
    if (!Number.isFinite(here)) say.push("The walk has left the numbers.");
    else if (now < last())
      say.push(together(own()
        ? `Next: θ${sub(now + 1)} = ${fmt(all[now + 1])}`
        : `Next: θ${sub(now + 1)} = ${short(here)} ${sign} ${lr} × ${inBrackets(short(grad))} = ${short(all[now + 1])}`));
    else if (get("trouble")) say.push(html("b", { class: "gdl-trouble" }, get("trouble")));
    else say.push(bowl.loss(here) > bowl.loss(all[0])
      ? `The loss has climbed from ${fmt(bowl.loss(all[0]))}.`
      : `The loss has fallen from ${fmt(bowl.loss(all[0]))}.`);
    line.replaceChildren(...say);
    rate.set(get("lr"));
    flip.set(get("climb"));
    // Without a kernel nobody can walk a learner's own step again: what would ask for it is put away.
    const frozen = own() && model.kernel === false;
    rate.hidden = frozen;
    flip.hidden = own();
    grip.style.display = frozen ? "none" : "";
    play.refresh();
  }

  return animate({
    model, el, root, stage, line, shown, write, paint, stop: play.pause,
    watched: ["theta0", "lr", "steps", "frame", "climb", "path", "trouble"],
    goal: (held) => ({ frame: at(), reach: held ? shown.reach : reach() }),
    duration: (goal) => (goal.frame === shown.frame ? 300 : 750),
  });
}
