// The engine every figure shares: mathematics, numbers, elements, scales, motion, controls, player.
// Python joins this file with a figure's own (gdlab/figures/base.py); neither imports anything.

// ---- mathematics: the same formulas, in the same order, as gdlab/objectives and gdlab/rules.py

const bowl = {
  loss: (theta) => (theta - 3) * (theta - 3) + 0.5,
  grad: (theta) => 2 * (theta - 3),
  minimum: 3,
};

// θ₀ … θ_steps. sign −1 goes against the slope, +1 with it.
function descend(grad, theta, lr, steps, sign = -1) {
  const path = [theta];
  for (let step = 0; step < steps; step++) path.push(path[step] + sign * lr * grad(path[step]));
  return path;
}

// ---- numbers as a reader writes them: a true minus sign, three decimals, powers of ten when huge

function fmt(x, decimals = 3) {
  if (!Number.isFinite(x)) return Number.isNaN(x) ? "not a number" : x > 0 ? "∞" : "−∞";
  let text;
  if (Math.abs(x) >= 1e6) {
    const [mantissa, power] = x.toExponential(1).split("e");
    text = mantissa + " × 10" + power.replace("+", "").replace(/\d/g, (d) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[d]);
  } else {
    text = x.toFixed(Math.abs(x) >= 1000 ? Math.min(decimals, 1) : decimals);
    if (text.includes(".")) text = text.replace(/\.?0+$/, "");
  }
  return text.replace(/^-0$/, "0").replace("-", "−");
}

const signed = (x) => (x > 0 ? "+" : "") + fmt(x);
const inBrackets = (x) => (x < 0 ? `(${fmt(x)})` : fmt(x));
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

// ---- scales

function scale(from, to) {
  const ratio = (to[1] - to[0]) / (from[1] - from[0]);
  const map = (x) => to[0] + (x - from[0]) * ratio;
  map.back = (pixel) => from[0] + (pixel - to[0]) / ratio;
  return map;
}

// About `count` round numbers between low and high.
function ticks(low, high, count) {
  const raw = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const gap = power * [1, 2, 5, 10].find((m) => m * power >= raw * 0.999);
  const found = [];
  for (let i = Math.ceil(low / gap); i * gap <= high; i++) found.push(i * gap);
  return found;
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

// ---- controls

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
    svg("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, shape), text);
  // aria-disabled and not disabled: a button that goes grey under the reader's finger must keep the focus.
  const off = () => node.getAttribute("aria-disabled") === "true";
  node.enable = (yes) => node.setAttribute("aria-disabled", String(!yes));
  node.show = (name, words) => {
    shape.setAttribute("d", icons[name]);
    text.textContent = words;
  };
  return node;
}

function slider({ label, symbol, min, max, step, oninput }) {
  const value = html("span", { class: "gdl-value", "aria-hidden": "true" });
  const input = html("input", { type: "range", min, max, step, "aria-label": label,
    oninput: () => oninput(Number(input.value)) });
  const node = html("label", { class: "gdl-slider" }, html("span", {}, label + " ", html("i", {}, symbol)), input, value);
  node.set = (x) => {
    input.max = Math.max(max, x);
    input.min = Math.min(min, x);
    input.value = x;
    input.setAttribute("aria-valuetext", `${symbol} = ${fmt(x)}`);
    value.textContent = fmt(x);
  };
  return node;
}

function toggle(label, onchange) {
  const node = html("button", { type: "button", role: "switch", class: "gdl-switch", "aria-checked": "false",
    onclick: () => onchange(node.getAttribute("aria-checked") !== "true") },
    html("span", { class: "gdl-track", "aria-hidden": "true" }), html("span", {}, label));
  node.set = (on) => node.setAttribute("aria-checked", String(on));
  return node;
}

// ---- player: Reset, Back, Play, Step and the keys that do the same. The figure says where it is and goes there.

function player({ frame, last, go }) {
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
    timer = setTimeout(beat, 1300);
    go(frame() + 1);
  }
  function play() {
    if (playing()) return pause();
    const again = frame() >= last();
    timer = setTimeout(beat, again ? 700 : 0);
    if (again) go(0);
    refresh();
  }
  const keys = { ArrowRight: () => at(frame() + 1), ArrowLeft: () => at(frame() - 1), Home: () => at(0), " ": play };
  function onkeydown(event) {
    const owner = event.target.closest("input, [role=slider]");
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
  const bar = html("div", { class: "gdl-player", role: "group", "aria-label": "Walk" }, reset, back, run, step);
  return { bar, refresh, pause, playing, onkeydown };
}

// ---- a handle that pointer, finger and keyboard move along the horizontal axis: a thumb on the axis, and the point above it

function handle({ label, min, max, step, value, text, pixel, onmove, onhold }) {
  const node = svg("g", { class: "gdl-handle", role: "slider", tabindex: "0", "aria-label": label,
    "aria-valuemin": min, "aria-valuemax": max, "aria-orientation": "horizontal",
    ontouchstart: (event) => event.preventDefault(),  // else the browser scrolls the page (touch-action does not hold inside SVG)
    onpointerdown: (event) => {
      event.preventDefault();
      node.focus({ preventScroll: true });
      node.setPointerCapture(event.pointerId);
      onhold(true);
    },
    onpointermove: (event) => node.hasPointerCapture(event.pointerId) && move(pixel(event)),
    onlostpointercapture: () => onhold(false),
    onkeydown: (event) => {
      const jump = { ArrowRight: step, ArrowUp: step, ArrowLeft: -step, ArrowDown: -step, PageUp: 1, PageDown: -1 };
      const target = event.key === "Home" ? min : event.key === "End" ? max : value() + jump[event.key];
      if (Number.isNaN(target)) return;
      event.preventDefault();
      event.stopPropagation();
      move(target);
    },
  });
  const reach = svg("circle", { r: 22, class: "gdl-reach" });
  const thumb = svg("g", {}, svg("rect", { x: -22, y: -22, width: 44, height: 44, class: "gdl-reach" }),
    svg("rect", { x: -16, y: -9, width: 32, height: 18, rx: 9, class: "gdl-thumb" }),
    svg("path", { class: "gdl-grip", d: "M-11 0l5-4v8zM11 0l-5-4v8z" }),
    svg("text", { "text-anchor": "middle", y: -14 }, label));
  node.append(svg("line", { class: "gdl-plumb" }), reach, thumb);
  const move = (x) => onmove(clamp(Number((Math.round(x / step) * step).toFixed(6)), min, max));
  node.place = (x, y, floor) => {
    build(node.firstChild, { x1: x, x2: x, y1: y, y2: floor }, []);
    reach.setAttribute("transform", `translate(${x} ${y})`);
    thumb.setAttribute("transform", `translate(${x} ${floor})`);
    node.setAttribute("aria-valuenow", value());
    node.setAttribute("aria-valuetext", text());
  };
  return node;
}
