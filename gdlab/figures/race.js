// Optimizer race: eleven update rules from one start on one landscape, each at its own rate, and a learner's own beside
// them; the highlighted one shows what it remembers, and the losses stand below (gdlab/figures/contest.py, which
// also knows who runs and how each landscape is set out).

const twoWells = {
  loss: ([x, y]) => doubleWell.loss(x) + 0.5 * y * y,
  grad: ([x, y]) => [doubleWell.grad(x), y],
  minimum: [1, 0],
  others: [[-1, 0]],
  flat: [[0, 0]],
};

// What a rule remembers after k steps: an arrow, and a box whose sides are roots of squares. They are in units of the
// gradient, but for the u of the schedule-free rules: by it and the rate z is ahead of the average x.
function memoryOf(id, [first, second], k) {
  if (!k || !first) return {};
  const roots = (squares, part = 1) => squares.map((square) => Math.sqrt(square / part));
  if (!second && /ad|rms/.test(id)) return { box: ["√s", roots(first)] };
  const name = /free/.test(id) ? "u" : second ? "m̂" : /lion|muon/.test(id) ? "m" : "v";
  const arrow = [name, name === "m̂" ? first.map((m) => m / (1 - 0.9 ** k)) : first];
  return second ? { arrow, box: ["√v̂", roots(second, 1 - 0.999 ** k)] } : { arrow };
}

function optimizerRace(model, el) {
  const { get, set } = traits(model);
  const surface = () => ({ ravine, saddle, rosenbrock, double_well: twoWells, beale })[get("landscape")];
  const sheet = () => get("landscapes")[get("landscape")];
  const start = () => [get("start_x"), get("start_y")];
  const last = () => get("steps");
  const at = () => clamp(get("frame"), 0, last());
  const known = get("field").filter(({ id }) => rules[id]);
  const runners = get("field").map((one, i) => {
    const [id, rate, own] = [one.id, one.id + "_lr", i - known.length];
    return own < 0 ? { ...one, rule: rules[id](one.settings), on: () => get(id), turn: (on) => set({ [id]: on }),
      lr: () => get(rate), tune: (lr) => set({ [rate]: lr }), usual: () => sheet().settings[rate] }
      : { ...one, on: () => true, lr: () => get("own_rates")[own], usual: () => sheet().own_rates[own],
        tune: (lr) => set({ own_rates: get("own_rates").with(own, lr) }), recorded: () => get("own_paths")[own] };
  });
  const frozen = runners.length > known.length && model.kernel === false;  // nobody can ask a learner's own rule again
  const running = () => runners.filter((one) => one.on());
  const lead = () => running().find((one) => one.id === get("highlight")) || running()[0];

  let [walkedFor, lowest] = ["", 0];
  function walkAgain() {
    const now = JSON.stringify(["landscape", "start_x", "start_y", "steps", "own_paths"].map(get).concat(runners.map((one) => one.lr())));
    if (now === walkedFor) return;
    walkedFor = now;
    const { loss, grad, minimum } = surface();
    lowest = loss(minimum);
    for (const one of runners) {
      if (one.rule) Object.assign(one, walk(one.rule, grad, start(), one.lr(), last()));
      else one.path = one.recorded().map((theta) => theta.map((number) => number ?? NaN));
      one.above = one.path.map((theta) => loss(theta) - lowest);
    }
  }

  // ---- the page

  let x, y, along, up, box, lossBox, near, laid, fitted;
  const grid = svg("g", { class: "gdl-grid gdl-bare" });
  const levels = svg("path", { class: "gdl-level" });
  const [trails, heads, curves, spots, memory, marks, names, ...pointed] = Array.from({ length: 9 }, () => svg("g", {}));
  const dots = svg("path", { class: "gdl-lane gdl-dotted" });
  const corner = (i) => () => sheet().view.map((side) => side[i]);
  const grip = handle({ label: "start", axis: "xy", min: corner(0), max: corner(1), step: () => [sheet().grain, sheet().grain],
    home: () => [sheet().settings.start_x, sheet().settings.start_y], value: start, text: () => `start ${pair(start())}`,
    at: (event) => picture.at(event), from: ([px, py]) => [x.back(px), y.back(py)], onmove: ([start_x, start_y]) => set({ start_x, start_y }) });
  grip.dataset.main = "";
  grip.setAttribute("style", "--gdl-path: var(--gdl-ink)");
  const picture = canvas("The walks on contours of the loss", [levels, trails, dots, memory, heads, marks], names, pointed[0], grip);
  picture.prepend(grid);
  const lossGrid = svg("g", { class: "gdl-grid" });
  const cursor = handle({ label: "step", thumb: false, min: 0, max: last, step: 1, value: at, text: () => `step ${at()}`,
    at: (event) => lossPicture.at(event), from: ([px]) => along.back(px), onmove: (frame) => {
      play.pause();
      set({ frame });
    } });
  const lossPicture = canvas("The losses over the steps", [curves, spots], pointed[1], cursor);
  lossPicture.prepend(lossGrid);
  const stage = html("div", { class: "gdl-stage gdl-pan", tabindex: "0", role: "group",
    "aria-label": "The race. Arrow keys step, Space plays, Home resets." }, picture, lossPicture);
  const line = html("p", { class: "gdl-line gdl-roomy" });
  const play = player({ frame: at, last, go: (frame) => set({ frame }), pace: 60, label: "Race" });
  const choice = dropdown("landscape", Object.entries(get("landscapes")).map(([id, { name }]) => [id, name]),
    (landscape) => set({ landscape, ...get("landscapes")[landscape].settings }));
  const group = unique();
  const lane = (one, d) => svg("path", { class: "gdl-lane", style: one.style, "stroke-dasharray": one.dashes, d });
  for (const one of runners) {
    one.style = `--gdl-hue: var(--gdl-${one.hue})`;
    one.trail = lane(one);
    one.curve = lane(one);
    one.value = html("span", {});
    one.box = html("input", { type: one.turn ? "checkbox" : "hidden", "aria-label": one.name, onchange: () => one.turn(one.box.checked) });
    one.pick = html("input", { type: "radio", name: group, "aria-label": "highlight " + one.name, onchange: () => follow(one) });
    one.row = html("div", { class: "gdl-racer", style: one.style }, one.box, html("label", {}, one.pick,
      svg("svg", { width: 26, height: 12, "aria-hidden": "true" }, lane(one, "M1 6h24")), html("span", {}, one.name), one.value));
  }
  const follow = (one) => {
    set({ highlight: one.id });
    one.turn?.(true);
  };
  const field = html("div", { class: "gdl-racers", role: "group", "aria-label": "optimizers" },
    html("p", { class: "gdl-note" }, html("span", {}, "who runs, who is highlighted"), html("span", {}, "L − L*")), runners.map((one) => one.row));
  // The slider moves along the powers of ten.
  const rate = slider({ label: "learning rate", symbol: "η", min: -4, max: 0.3, step: 0.02, text: () => sig(lead()?.lr()),
    oninput: (power) => lead()?.tune(+(10 ** power).toPrecision(3)) });
  const usual = button("", "", () => lead().tune(lead().usual()));
  const says = html("p", { class: "gdl-says gdl-memory" });
  const root = frame({ stage, line, foot: play.bar, onkeydown: play.onkeydown, side: [choice, field, rate, usual, says] });

  // ---- drawing

  const place = (theta) => [clamp(x(theta[0]), -9999, 9999), clamp(y(theta[1]), -9999, 9999)];
  const height = (above) => clamp(up(Math.max(above, 1e-12)), -999, 999);
  const pair = (theta) => `(${theta.map((number) => sig(number)).join(", ")})`;
  const solid = ([px, py]) => Number.isFinite(px + py);

  function layOut(width) {
    const { view, levels: spread } = sheet();
    const tall = clamp(Math.round(width * 0.62), 250, 400);
    box = { left: 30, right: width - 4, top: 6, bottom: tall - 24 };
    const room = [box.right - box.left, box.bottom - box.top];
    const unit = Math.min(...view.map(([low, high], i) => room[i] / (high - low)));  // one for both: gradients cross contours at right angles
    const [across, upwards] = view.map(([low, high], i) => [-1, 1].map((side) => (low + high + (side * room[i]) / unit) / 2));
    x = scale(across, [box.left, box.right]);
    y = scale(upwards, [box.bottom, box.top]);
    picture.cut(width, tall, box);
    drawAxes(grid, x, y, box, { across: 6, xName: "x", yName: "y", inside: true });
    levels.setAttribute("d", contourPaths(surface().loss, x, y, box, levelsBetween(...spread)).join(""));
    lossBox = { left: 50, right: width - 12, top: 24, bottom: 116 };
    lossPicture.cut(width, 138, lossBox, 3);
  }

  function paint(width) {
    if (laid !== (laid = width + get("landscape"))) layOut(width);
    const top = 10 ** Math.ceil(Math.log10(clamp(surface().loss(start()) - lowest, 1, 1e6)) + 0.3);
    if (fitted !== (fitted = [laid, top, last()].join())) {
      along = scale([0, last()], [lossBox.left, lossBox.right]);
      up = scale([1e-6, top], [lossBox.bottom, lossBox.top], true);
      drawAxes(lossGrid, along, up, lossBox, { across: 6, up: 4, xName: "", yName: "loss above the lowest, L − L*" });
    }
    const first = lead();
    for (const one of runners) {
      const until = one.on() ? at() + 1 : 0;
      one.spots = one.path.slice(0, until).map(place);
      one.heights = one.above.slice(0, until).map((above, i) => [along(i), height(above)]);
      one.trail.setAttribute("d", trace(one.spots));
      one.curve.setAttribute("d", trace(one.heights));
    }
    const order = running().sort((a, b) => (a === first) - (b === first));  // the highlighted one lies on top
    trails.replaceChildren(...order.map((one) => one.trail));
    curves.replaceChildren(...order.map((one) => one.curve));
    build(dots, { style: first?.style, d: first ? first.spots.filter(solid).map(([px, py]) => `M${px.toFixed(1)} ${py.toFixed(1)}h0`).join("") : "" }, []);
    const head = (one, [cx, cy]) => svg("circle", { cx, cy, r: one === first ? 6.5 : 4, class: "gdl-head-of", style: one.style });
    const ends = (which) => order.filter((one) => one[which].length && solid(one[which].at(-1))).map((one) => [one, one[which].at(-1)]);
    const there = ends("spots");
    const now = along(at());
    heads.replaceChildren(...there.map(([one, spot]) => head(one, spot)));
    spots.replaceChildren(stroke(now, lossBox.top, now, lossBox.bottom, "gdl-signal"), ...ends("heights").map(([one, spot]) => head(one, spot)));
    const level = first?.heights.at(-1)?.[1];
    cursor.setAttribute("style", `--gdl-path: var(--gdl-${first?.hue ?? "ink"})`);
    cursor.place(now, clamp(level > 0 ? level : lossBox.bottom, lossBox.top, lossBox.bottom));

    const { minimum, others = [], flat = [] } = surface();
    const low = [minimum, ...others].map(place);
    marks.replaceChildren(...low.map(([cx, cy]) => svg("circle", { cx, cy, r: 7, class: "gdl-minimum" })),
      ...flat.map(place).map(([px, py]) => svg("path", { d: `M${px - 5} ${py - 5}l10 10m0 -10l-10 10`, class: "gdl-minimum" })));
    grip.place(...place(start()));
    const taken = [...low, place(start()), ...there.map(([, spot]) => spot)].map(([px, py]) => [px - 9, px + 9, py - 9, py + 9]);
    const quiet = (theta, name) => label(place(theta), { name }, taken);
    const apart = there.toReversed().filter(([, [px, py]], i, all) =>  // who stand in one place share one name
      all.every(([, [qx, qy]], k) => k >= i || Math.hypot(px - qx, py - qy) > 9));
    names.replaceChildren(quiet(start(), "start"), quiet(minimum, "minimum"), ...flat.map((theta) => quiet(theta, "flat")));
    paintMemory(first, taken);
    names.append(...apart.map(([one, spot]) => label(spot, one, taken)));
    paintPointed();
    if (play.playing() && at() < last()) line.setAttribute("aria-live", "off");  // it would flood a screen reader
  }

  // Words beside a spot, where no others stand; nothing where there is no room.
  function label([px, py], { name, style }, taken) {
    const wide = extent([name]) + 4;
    for (const [dx, dy, anchor] of [[14, 4, 0], [-14, 4, 1], [8, -12, 0], [-8, -12, 1], [8, 21, 0], [-8, 21, 1]]) {
      const left = px + dx - wide * anchor;
      const [right, high, low] = [left + wide, py + dy - 11, py + dy + 3];
      if (left < box.left || right > box.right || high < box.top || low > box.bottom) continue;
      if (taken.some(([l, r, h, b]) => left < r && l < right && high < b && h < low)) continue;
      taken.push([left, right, high, low]);
      return svg("text", { x: left, y: py + dy, class: "gdl-racer-name", style }, name);
    }
    return "";
  }

  // The gradient where it is taken, and what the highlighted rule remembers: drawn to one scale, which shrinks more
  // slowly than they do. Where the rule averages, the arrow goes from the average to z.
  const kept = (one) => memoryOf(one.id, one.states?.[at()] || [], at());
  function paintMemory(one, taken) {
    memory.replaceChildren();
    const theta = one?.path[at()];
    if (!theta || !solid(theta)) return;
    const averages = one.rule?.average;
    const { arrow: [name, vector] = [], box: sides } = kept(one);
    const asked = (one.thetas || one.path)[at()];
    const slope = surface().grad(asked);
    const size = (...vectors) => Math.max(...vectors.flat().map(Math.abs));
    const largest = size(slope, (!averages && vector) || 0, sides?.[1] || 0) || 1;
    const pixels = (46 * (largest / size(largest, surface().grad(start()))) ** 0.2) / largest;
    const [px, py] = place(theta);
    memory.setAttribute("style", one.style);
    if (sides) {
      const [rx, ry] = sides[1].map((side) => side * pixels);
      memory.append(svg("rect", { x: px - rx, y: py - ry, width: 2 * rx, height: 2 * ry, class: "gdl-memory-box" }));
      names.append(label([px + rx - 8, py - ry], { name: sides[0], style: one.style }, taken));
    }
    const draw = (name, [sx, sy], [ex, ey], kind, style) => {
      const length = Math.hypot(ex - sx, ey - sy);
      if (!(length > 3)) return;
      const turned = (180 / Math.PI) * Math.atan2(ey - sy, ex - sx);
      memory.append(svg("path", { class: kind, d: `M0 0H${length}m-9 -4l9 4l-9 4`, transform: `translate(${sx} ${sy}) rotate(${turned})` }));
      names.append(label([ex, ey], { name, style }, taken));
    };
    const against = ([sx, sy], [gx, gy]) => [sx - gx * pixels, sy + gy * pixels];
    const from = place(asked);
    draw("−g", from, against(from, slope), "gdl-gradient-arrow");
    if (name) draw(averages ? "z" : "−" + name, [px, py], averages ? place(theta.map((number, i) => number + one.lr() * vector[i])) : against([px, py], vector),
      "gdl-memory-arrow", one.style);
  }

  // ---- what the mouse points at, or the finger: one walk at one step, marked in both pictures

  const both = [[picture, "spots"], [lossPicture, "heights"]];
  both.forEach(([one, which]) => {
    hovered(one, ([px, py]) => {
      near = null;
      let least = 20;
      for (const racer of running())
        racer[which].slice(0, at() + 1).forEach(([qx, qy], step) => {
          const away = Math.hypot(qx - px, qy - py);
          if (away < least) [near, least] = [[racer, step], away];
        });
      paintPointed();
    });
    one.addEventListener("pointerleave", () => paintPointed((near = null)));
    one.addEventListener("click", () => near && follow(near[0]));
  });

  function paintPointed() {
    const [one, step] = near || [];
    names.style.opacity = one ? 0.2 : 1;
    both.forEach(([, which], i) => {
      if (!one) return pointed[i].replaceChildren();
      const [cx, cy] = one[which][step];
      const text = [`${one.name}, step ${step}`, `L − L* = ${sig(one.above[step])}`];
      const turned = cx + 12 + extent(text) > box.right;
      pointed[i].replaceChildren(svg("circle", { cx, cy, r: 8, class: "gdl-head-of", style: one.style }),
        words(cx + (turned ? -13 : 13), cy + (cy < 48 ? 22 : -20), "gdl-here", turned ? "end" : "start", ...text.slice(i)));
    });
    for (const other of runners)
      for (const node of [other.trail, other.curve]) build(node, { class: "gdl-lane" + (other === one || other === lead() ? " gdl-lead" : "") }, []);
    root.dataset.pointed = one ? `${one.id} ${step}` : "";
  }

  // ---- numbers

  function write() {
    walkAgain();
    near = null;
    const first = lead();
    const here = (one, list = "above") => one[list][Math.min(at(), one[list].length - 1)];
    const told = (above) => (Number.isFinite(above) ? sig(above, 2) : "flew off");
    root.dataset.paths = JSON.stringify(Object.fromEntries(running().map((one) => [one.id, one.path])));
    root.dataset.lead = first?.id;
    const remembered = first ? Object.values(kept(first)) : [];
    root.dataset.memory = JSON.stringify(remembered);
    const say = [html("b", {}, `Step ${at()} of ${last()}.`), " "];
    if (get("trouble")) say.push(html("b", { class: "gdl-trouble" }, get("trouble")));
    else if (!first) say.push("Nobody runs: switch a rule on.");
    else {
      const best = running().reduce((low, one) => (here(one) < here(low) || !Number.isFinite(here(low)) ? one : low));
      say.push(`${first.name}: L − L* = ${told(here(first))} at ${pair(here(first, "path"))}. Lowest: ${best.name}, ${told(here(best))}.`);
    }
    line.replaceChildren(...say);
    choice.set(get("landscape"));
    for (const one of runners) {
      one.box.checked = one.on();
      one.pick.checked = one === first;
      one.value.textContent = one.on() ? (here(one) < 1e-6 ? "< 10⁻⁶" : told(here(one))) : "";
    }
    rate.set(Math.log10(first?.lr() || 1e-4));
    says.replaceChildren(...(first ? [...first.does.split("; "), ...remembered.map(([name, vector]) => `${name} = ${pair(vector)}`)] : [])
      .map((text) => html("span", {}, text)));
    usual.querySelector("span").textContent = `usual here: ${sig(first?.usual())}`;
    usual.enable(first && first.lr() !== first.usual());
    choice.hidden = frozen;
    grip.style.display = frozen ? "none" : "";
    rate.hidden = usual.hidden = frozen && !first?.rule;
    play.refresh();
  }

  return animate({
    model, el, root, stage, line, shown: {}, write, paint, stop: play.pause,
    watched: ["landscape", "start_x", "start_y", "steps", "frame", "highlight", "own_rates", "own_paths", "trouble",
      ...known.flatMap(({ id }) => [id, id + "_lr"])],
    goal: () => ({}),  // nothing glides: a step is short enough
  });
}
