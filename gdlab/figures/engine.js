// The engine every figure shares: numbers, elements, scales, axes, motion, controls, player, handles.
// Python joins this file with the mathematics and a figure's own file (gdlab/figures/base.py); none imports anything.

// ---- numbers as a reader writes them: a true minus sign, three decimals, powers of ten when huge (gdlab/figures/text.py)

const raised = (power) => String(power).replace("+", "").replace("-", "⁻").replace(/\d/g, (d) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[d]);
const trimmed = (text) => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);

function fmt(x, decimals = 3) {
  if (!Number.isFinite(x)) return Number.isNaN(x) ? "not a number" : x > 0 ? "∞" : "−∞";
  let text;
  if (Math.abs(x) >= 1e6) {
    const [mantissa, power] = x.toExponential(1).split("e");
    text = mantissa + " × 10" + raised(power);
  } else text = trimmed(x.toFixed(Math.abs(x) >= 1000 ? Math.min(decimals, 1) : decimals));
  return text.replace(/^-0$/, "0").replace("-", "−");
}

// By its leading digits, however small: learning rates, ticks of an axis.
function sig(x, digits = 3) {
  if (!Number.isFinite(x) || x === 0) return fmt(x);
  const [mantissa, power] = x.toExponential(digits - 1).split("e");
  if (power <= -5 || power >= 6) {
    const short = trimmed(mantissa);
    return ((/^-?1$/.test(short) ? short.replace("1", "") : short + " × ") + "10" + raised(power)).replace("-", "−");
  }
  const [whole, part] = x.toFixed(Math.max(0, digits - 1 - power)).split(".");
  return trimmed(whole.replace(/\B(?=(\d{3})+$)/g, ",") + (part ? "." + part : "")).replace("-", "−");
}

const signed = (x) => (x > 0 ? "+" : "") + fmt(x);
const sub = (n) => String(n).replace(/\d/g, (d) => "₀₁₂₃₄₅₆₇₈₉"[d]);
const clamp = (x, low, high) => Math.min(high, Math.max(low, x));

// ---- elements

function build(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}
const html = (tag, attributes, ...children) => build(document.createElement(tag), attributes, children);
const svg = (tag, attributes, ...children) =>
  build(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
const unique = () => "gdl-" + Math.random().toString(36).slice(2);  // figures in one page do not know of each other

const stroke = (x1, y1, x2, y2, kind) => svg("line", { x1, y1, x2, y2, class: kind });
const words = (px, py, kind, anchor, ...lines) =>
  svg("text", { x: px, y: py, class: kind, "text-anchor": anchor },
    lines.map((text, i) => svg("tspan", { x: px, dy: i ? 17 : 0 }, text)));
const extent = (lines) => 7.8 * Math.max(...lines.map((text) => text.length));  // about as wide as bold text of this size is
// Names of one line that would cover one another: the later ones move up or down, where there is room.
function keptApart(names, box) {
  const taken = [];
  for (const name of names) {
    const [left, y] = ["x", "y"].map((axis) => Number(name.getAttribute(axis)));
    const wide = extent([name.textContent]);
    const start = name.getAttribute("text-anchor") === "end" ? left - wide : left;
    const free = (by) => y + by > box.top && y + by < box.bottom - 4
      && taken.every(([from, to, at]) => from > start + wide || to < start || Math.abs(at - y - by) >= 15);
    const by = [0, 15, -15, 30, -30, 45, -45].find(free) || 0;
    if (by) for (const node of [name, ...name.children]) node.setAttribute("y", y + by);
    taken.push([start, start + wide, y + by]);
  }
  return names;
}
const together = (text) => html("span", { class: "gdl-whole" }, text);  // words that stay on one line

// A path through points [px, py]; a gap where one is no place.
function trace(points) {
  let d = "";
  let pen = "M";
  for (const [px, py] of points) {
    if (Number.isFinite(px) && Number.isFinite(py)) {
      d += `${pen}${px.toFixed(1)} ${py.toFixed(1)}`;
      pen = "L";
    } else pen = "M";
  }
  return d;
}
// The area between two lines of points.
const band = (upper, lower) => trace([...upper, ...[...lower].reverse()]) + "Z";

// ---- scales and axes

function scale(from, to, log = false) {
  const [into, out] = log ? [Math.log10, (power) => 10 ** power] : [(x) => x, (x) => x];
  const low = into(from[0]);
  const ratio = (to[1] - to[0]) / (into(from[1]) - low);
  const map = (x) => to[0] + (into(x) - low) * ratio;
  map.back = (pixel) => out(low + (pixel - to[0]) / ratio);
  map.ticks = (count) => (log && from[1] / from[0] > 30 ? logTicks(...from, count) : ticks(...from, count));
  return map;
}

// About `count` round numbers between low and high.
function ticks(low, high, count) {
  const raw = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const gap = power * [1, 2, 5, 10].find((m) => m * power >= raw * 0.999);
  const found = [];
  for (let i = Math.ceil(low / gap - 1e-9); i * gap <= high * (1 + 1e-12); i++) found.push(i * gap);
  return found;
}

function logTicks(low, high, count) {
  const [first, last] = [Math.ceil(Math.log10(low) - 1e-9), Math.floor(Math.log10(high) + 1e-9)];
  const every = Math.max(1, Math.ceil((last - first) / count));
  // Few powers of ten: 1, 2 and 5 times each.
  if (2 * (last - first + 1) <= count)
    return Array.from({ length: 3 * (last - first + 2) }, (_, i) => [1, 2, 5][i % 3] * 10 ** (first - 1 + Math.floor(i / 3)))
      .filter((value) => low * (1 - 1e-9) <= value && value <= high * (1 + 1e-9));
  return Array.from({ length: Math.floor((last - first) / every) + 1 }, (_, i) => 10 ** (first + i * every));
}

// A quiet grid with numbers and names, drawn into `grid`. `inside` puts the names inside the picture; below `least` there is nothing.
function drawAxes(grid, x, y, box, { across = 7, up = 5, xName, yName, xText = sig, yText = sig, inside = false, least = -Infinity }) {
  const [columns, rows] = [x.ticks(across), y.ticks(up).filter((value) => value >= least)];
  grid.replaceChildren(
    ...rows.map((value) => stroke(box.left, y(value), box.right, y(value))),
    ...rows.map((value) => words(box.left - 7, y(value) + 4, "", "end", yText(value))),
    ...columns.map((value) => stroke(x(value), box.bottom, x(value), box.bottom + 5, "gdl-axis")),
    ...columns.map((value) => words(x(value), box.bottom + 21, "", "middle", xText(value))),
    stroke(box.left, box.bottom, box.right, box.bottom, "gdl-axis"),
    words(box.right, box.bottom + (inside ? -8 : 38), "gdl-title", "end", xName),
    words(box.left + (inside ? 7 : -7), box.top + (inside ? 10 : -9), "gdl-title", "start", yName));
}

// ---- motion: `shown` follows the goal that `aim` gives it; a reader who asked for less motion sees it jump

function mover(shown, paint, settled) {
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  let goal = { ...shown };
  let running = 0;
  const stop = () => {
    cancelAnimationFrame(running);
    running = 0;
  };
  function aim(next, duration = 0) {
    const moved = Object.keys(next).some((key) => next[key] !== goal[key]);
    if (!moved) {
      if (!running) paint();
      return;
    }
    stop();
    goal = { ...next };
    const from = { ...shown };
    const start = performance.now();
    const tick = (now) => {
      const part = calm.matches || !duration ? 1 : clamp((now - start) / duration, 0, 1);
      const eased = part < 0.5 ? 2 * part * part : 1 - 2 * (1 - part) * (1 - part);
      for (const key in goal) shown[key] = part === 1 ? goal[key] : from[key] + (goal[key] - from[key]) * eased;
      running = part < 1 ? requestAnimationFrame(tick) : 0;
      paint();
      if (!running) settled();
    };
    tick(start);
  }
  return { aim, stop, moving: () => running !== 0 };
}

// ---- a figure at work: it hears its traits and its width, redraws once a frame, and can be cleared away.
// `write` puts numbers into the page, `goal(held)` says where `shown` has to go (held: while a finger or the
// mouse drags something, when the view had better stay), `paint(width)` draws `shown`.

function traits(model) {
  return {
    get: (name) => model.get(name),
    set(changes) {
      for (const [name, value] of Object.entries(changes)) model.set(name, value);
      model.save_changes();
    },
  };
}

function animate({ model, el, root, stage, line, watched, shown, goal, duration = () => 300, write, paint, stop = () => {} }) {
  let [width, held, asked] = [0, false, 0];
  const settled = () => (root.dataset.settled = "true");
  const motion = mover(shown, () => width && paint(width), settled);
  function update() {
    write();
    line.setAttribute("aria-live", held ? "off" : "polite");  // a drag would flood a screen reader
    root.dataset.settled = "false";
    const next = goal(held);
    motion.aim(next, duration(next));
    if (width && !motion.moving()) settled();  // without a width nothing is drawn yet
  }
  const ask = () => (asked ||= requestAnimationFrame(() => ((asked = 0), update())));  // one redraw, however many traits changed
  const hold = (now) => {
    if (now !== held) ask();
    held = now;
  };
  root.addEventListener("pointerdown", (event) => event.target.closest("[type=range], [role=slider]") && hold(true));
  for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) root.addEventListener(end, () => hold(false));
  watched.forEach((name) => model.on("change:" + name, ask));
  const size = new ResizeObserver(() => {
    const now = Math.floor(stage.clientWidth);
    if (now === width || !now) return;
    width = now;
    update();
    paint(width);
  });
  el.append(root);
  size.observe(stage);
  Object.assign(shown, goal(false));
  update();
  return () => {
    size.disconnect();
    stop();
    motion.stop();
    cancelAnimationFrame(asked);
    watched.forEach((name) => model.off("change:" + name, ask));
  };
}

// The frame every figure stands in: picture and line of numbers at the left, what there is to set at the right.
function frame({ stage, line, foot = [], side, onkeydown }) {
  const keys = (event) => {
    onkeydown?.(event);
    const typed = event.target.closest("input, select, button") && !(event.ctrlKey || event.metaKey || event.altKey);
    if (typed) event.stopPropagation();  // JupyterLab would take an arrow key away from a slider
  };
  return html("div", { class: "gdl", "data-lm-suppress-shortcuts": true, onkeydown: keys },
    html("div", { class: "gdl-frame" }, stage, html("div", { class: "gdl-foot" }, line, foot), html("div", { class: "gdl-side" }, side)));
}

// A picture whose parts are cut off at the edges of a box: `inside` is what gets cut.
function canvas(label, inside, ...above) {
  const id = unique();
  const window_ = svg("rect", {});
  const node = svg("svg", { role: "group", "aria-label": label },
    svg("clipPath", { id }, window_), svg("g", { "clip-path": `url(#${id})` }, inside), above);
  node.cut = (width, height, box, slack = 0) => {
    build(node, { width, height }, []);
    build(window_, { x: box.left - slack, y: box.top - slack, width: box.right - box.left + 2 * slack,
      height: box.bottom - box.top + 2 * slack }, []);
  };
  node.at = (event) => {
    const place = node.getBoundingClientRect();
    return [event.clientX - place.left, event.clientY - place.top];
  };
  return node;
}

// ---- controls. Each node has a method `set` that shows a value; a change of the reader's calls `oninput`.

const icons = {
  reset: "M4 3h2v10H4zM13 3v10L6.500 8z",
  back: "M10.500 3v10L4 8z",
  step: "M5.500 3v10L12 8z",
  play: "M3 3v10l5.500-5zM8.500 3v10L14 8z",
  pause: "M4 3h3v10H4zM9 3h3v10H9z",
};

function button(icon, label, onclick, extra = "") {
  const shape = svg("path", { d: icons[icon] });
  const text = html("span", {}, label);
  const node = html("button", { type: "button", class: "gdl-button " + extra, onclick: () => off() || onclick() },
    icon && svg("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, shape), text);
  // aria-disabled and not disabled: a button that goes grey under the reader's finger must keep the focus.
  const off = () => node.getAttribute("aria-disabled") === "true";
  node.enable = (yes) => node.setAttribute("aria-disabled", String(!yes));
  node.show = (name, words) => {
    shape.setAttribute("d", icons[name]);
    text.textContent = words;
  };
  return node;
}

function slider({ label, symbol, min, max, step, oninput, text = fmt }) {
  const value = html("span", { class: "gdl-value", "aria-hidden": "true" });
  const input = html("input", { type: "range", min, max, step, "aria-label": label,
    oninput: () => oninput(Number(input.value)) });
  const node = html("label", { class: "gdl-slider" }, html("span", {}, label + " ", html("i", {}, symbol)), input, value);
  node.set = (x) => {
    input.max = Math.max(max, x);
    input.min = Math.min(min, x);
    input.value = x;
    input.setAttribute("aria-valuetext", symbol ? `${symbol} = ${text(x)}` : text(x));
    value.textContent = text(x);
  };
  return node;
}

function toggle(label, oninput) {
  const node = html("button", { type: "button", role: "switch", class: "gdl-switch", "aria-checked": "false",
    onclick: () => oninput(node.getAttribute("aria-checked") !== "true") },
    html("span", { class: "gdl-track", "aria-hidden": "true" }), html("span", {}, label));
  node.set = (on) => node.setAttribute("aria-checked", String(on));
  return node;
}

// One of many: options are [value, words].
function dropdown(label, options, oninput) {
  const list = html("select", { "aria-label": label, onchange: () => oninput(list.value) },
    options.map(([value, text]) => html("option", { value }, text)));
  const node = html("label", { class: "gdl-choice" }, html("span", {}, label), list);
  node.set = (value) => (list.value = value);
  return node;
}

// One of a few, all in sight.
function segments(label, options, oninput) {
  const name = unique();
  const inputs = options.map(([value]) =>
    html("input", { type: "radio", name, value, onchange: () => oninput(value) }));
  const node = html("div", { class: "gdl-segments", role: "radiogroup", "aria-label": label },
    options.map(([, text], i) => html("label", {}, inputs[i], html("span", {}, text))));
  node.set = (value) => inputs.forEach((input) => (input.checked = input.value === String(value)));
  return node;
}

// ---- player: Reset, Back, Play, Step and the keys that do the same. The figure says where it is and goes there.

function player({ frame, last, go, label = "Walk", pace = 1300 }) {
  let timer = 0;
  const playing = () => timer !== 0;
  const at = (target) => {
    pause();
    go(clamp(target, 0, last()));
  };
  function pause() {
    clearTimeout(timer);
    timer = 0;
    refresh();
  }
  function beat() {
    if (frame() >= last()) return pause();
    timer = setTimeout(beat, pace);
    go(frame() + 1);
  }
  function play() {
    if (playing()) return pause();
    const again = frame() >= last();
    timer = setTimeout(beat, again ? pace / 2 : 0);
    if (again) go(0);
    refresh();
  }
  const keys = { ArrowRight: () => at(frame() + 1), ArrowLeft: () => at(frame() - 1), Home: () => at(0), " ": play };
  function onkeydown(event) {
    const owner = event.target.closest("input, select, [role=slider]");
    const pressed = event.key === " " && event.target.closest("button");  // a button's own key
    if (owner || pressed || event.ctrlKey || event.metaKey || event.altKey || !(event.key in keys)) return;
    event.preventDefault();
    event.stopPropagation();
    keys[event.key]();
  }
  const reset = button("reset", "Reset", () => at(0));
  const back = button("back", "Back", () => at(frame() - 1));
  const run = button("play", "Play", play);
  const step = button("step", "Step", () => at(frame() + 1), "gdl-main");
  function refresh() {
    reset.enable(frame() > 0);
    back.enable(frame() > 0);
    step.enable(frame() < last());
    run.enable(last() > 0);
    run.show(playing() ? "pause" : "play", playing() ? "Pause" : "Play");
  }
  const bar = html("div", { class: "gdl-player", role: "group", "aria-label": label }, reset, back, run, step);
  return { bar, refresh, pause, play, playing, onkeydown };
}

// ---- handles that pointer, finger and keyboard move: along the horizontal axis "x", the vertical "y", or both "xy".
// An axis handle is a point in the picture and a thumb on the axis, both of which can be seized; an "xy" handle is a
// ring around its point. `from([px, py])` reads a place in the picture; `value` is a number, for "xy" [x, y]. `min`,
// `max` and `step` are numbers or functions that give them, for "xy" pairs. `home` is where the Home key goes.

function handle({ label, axis = "x", min, max, step, home = min, value, text, at, from, onmove, thumb = true }) {
  const now = (setting) => (typeof setting === "function" ? setting() : setting);
  const snap = (x, low, high, grain) => clamp(Number((Math.round(x / grain) * grain).toPrecision(9)), low, high);
  const move = (to) => {
    const [low, high, grain] = [min, max, step].map(now);
    onmove(axis === "xy" ? to.map((x, i) => snap(x, low[i], high[i], grain[i])) : snap(to, low, high, grain));
  };
  const node = svg("g", { class: `gdl-handle gdl-along-${axis}`, role: "slider", tabindex: "0", "aria-label": label,
    "aria-orientation": axis === "xy" ? null : axis === "x" ? "horizontal" : "vertical",
    ontouchstart: (event) => event.preventDefault(),  // else the browser scrolls the page (touch-action does not hold inside SVG)
    onpointerdown: (event) => {
      event.preventDefault();
      node.focus({ preventScroll: true });
      node.setPointerCapture(event.pointerId);
    },
    onpointermove: (event) => node.hasPointerCapture(event.pointerId) && move(from(at(event))),
    onkeydown: (event) => {
      const by = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1], PageUp: [0, 10],
        PageDown: [0, -10] }[event.key];
      const end = { Home: home, End: axis === "xy" ? undefined : max }[event.key];
      if ((!by && end === undefined) || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      event.stopPropagation();
      const grain = now(step);
      if (!by) move(now(end));
      else if (axis === "xy") move(value().map((x, i) => x + by[i] * grain[i]));
      else move(value() + (by[0] + by[1]) * grain);
    },
  });
  const reach = svg("circle", { r: 22, class: "gdl-reach" });
  const grip = thumb && axis !== "xy"
    ? svg("g", {}, svg("rect", { x: -22, y: -22, width: 44, height: 44, class: "gdl-reach" }),
      svg("g", axis === "y" ? { transform: "rotate(90)" } : {},
        svg("rect", { x: -16, y: -9, width: 32, height: 18, rx: 9, class: "gdl-thumb" }),
        svg("path", { class: "gdl-grip", d: "M-11 0l5-4v8zM11 0l-5-4v8z" })),
      svg("text", axis === "x" ? { "text-anchor": "middle", y: -14 } : { "text-anchor": "end", x: -13, y: -7 }, label))
    : svg("circle", { r: axis === "xy" ? 11 : 7, class: "gdl-thumb gdl-ring" });
  node.append(svg("line", { class: "gdl-plumb" }), reach, grip);
  // The point, and the thumb's place where that is another.
  node.place = (x, y, tx = x, ty = y) => {
    build(node.firstChild, { x1: x, x2: tx, y1: y, y2: ty }, []);
    reach.setAttribute("transform", `translate(${x} ${y})`);
    grip.setAttribute("transform", `translate(${tx} ${ty})`);
    const first = (setting) => [].concat(now(setting))[0];
    build(node, { "aria-valuemin": first(min), "aria-valuemax": first(max), "aria-valuenow": first(value),
      "aria-valuetext": text() }, []);
  };
  return node;
}

// Calls `onmove([px, py])` while the mouse moves over a picture, or a finger touches it, outside its handles.
function hovered(picture, onmove) {
  const follow = (event) =>
    !event.target.closest("[role=slider]") && (event.pointerType === "mouse" ? !event.buttons : true) && onmove(picture.at(event));
  for (const kind of ["pointermove", "pointerdown"]) picture.addEventListener(kind, follow);
}
