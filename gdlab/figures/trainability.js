// Which pairs of learning rates train a network: recorded windows, closer and closer; the run under the ring is trained
// here, as it moves (gdlab/figures/boundary.py). With a kernel the figure goes on into windows that nobody recorded.

// L_t/L_0 before each step and after the last, of f(x) = (1/n)·Σ W2·tanh(W1ᵀx), the √(2/n) already in X.
function trainNetwork({ W1, W2, X, y, steps }, lr1, lr2) {
  const [n, count] = [W2.length, y.length];
  const [first, second, hidden, slope1, slope2] = [[...W1], [...W2], new Array(n), new Array(n * n), new Array(n)];
  const losses = [];
  for (let step = 0; step <= steps; step++) {
    slope1.fill(0);
    slope2.fill(0);
    let loss = 0;
    for (let d = 0; d < count; d++) {
      let out = 0;
      for (let h = 0; h < n; h++) {
        let sum = 0;
        for (let k = 0; k < n; k++) sum += X[d * n + k] * first[k * n + h];
        hidden[h] = Math.tanh(sum);
        out += hidden[h] * second[h];
      }
      const error = out / n - y[d];
      loss += (error * error) / count;
      const by = (error * 2) / (count * n);
      for (let h = 0; h < n; h++) {
        slope2[h] += hidden[h] * by;
        const into = by * second[h] * (1 - hidden[h] * hidden[h]);
        for (let k = 0; k < n; k++) slope1[k * n + h] += X[d * n + k] * into;
      }
    }
    losses.push(loss);
    for (let i = 0; i < n * n; i++) first[i] -= lr1 * slope1[i];
    for (let h = 0; h < n; h++) second[h] -= lr2 * slope2[h];
  }
  return losses.map((loss) => loss / losses[0]);
}

// A byte's colour: what learns is light, what does not is dark (gdlab/figures/boundary_svg.py).
function mapColour(byte) {
  const [from, to] = byte < 128 ? [[244, 248, 252], [74, 150, 207]] : [[146, 64, 0], [30, 10, 0]];
  return from.map((start, i) => Math.round(start + ((to[i] - start) * (byte % 128)) / 127));
}

function mapImage({ side, colours }) {
  const bytes = atob(colours);
  const sheet = html("canvas", { width: side, height: side });
  const pixels = new ImageData(side, side);
  for (let row = 0; row < side; row++)
    for (let column = 0; column < side; column++)
      pixels.data.set([...mapColour(bytes.charCodeAt((side - 1 - row) * side + column)), 255], 4 * (row * side + column));
  sheet.getContext("2d").putImageData(pixels, 0, 0);
  return sheet.toDataURL();
}

function trainabilityMap(model, el) {
  const { get, set } = traits(model);
  const live = model.kernel !== false;
  const asked = () => get("asked").length > 0;
  const drawn = () => (asked() && get("own")[0]) || get("windows")[get("level")];
  const window_ = () => (asked() ? get("asked") : drawn().window);
  const rates = () => {
    const [left, right, low, high] = window_();
    return [10 ** (left + get("u") * (right - left)), 10 ** (low + get("v") * (high - low))];
  };
  const times = () => (get("windows")[0].window[1] - get("windows")[0].window[0]) / (window_()[1] - window_()[0]);
  const shown = { u: get("u"), v: get("v") };
  let [losses, trainedFor, imageFor, dragging] = [[], "", "", false];
  const goal = (held) => {
    dragging = held;
    return { u: get("u"), v: get("v") };
  };

  // ---- the page

  let [x, y, side] = [scale([0, 1], [0, 1]), scale([0, 1], [0, 1]), 0];
  const grid = svg("g", { class: "gdl-grid" });
  const map = svg("image", { preserveAspectRatio: "none", style: "image-rendering: pixelated" });
  const next = svg("rect", { fill: "none", stroke: "#fff", "stroke-width": 2 });
  const nextInk = svg("rect", { fill: "none", stroke: "#000", "stroke-width": 2, "stroke-dasharray": "4 4" });
  const grip = handle({ label: "the two learning rates", axis: "xy", min: [0, 0], max: [1, 1], step: [0.005, 0.005], home: [0.25, 0.4],
    value: () => [get("u"), get("v")], text: () => `η₁ = ${sig(rates()[0], 6)}, η₂ = ${sig(rates()[1], 6)}`, at: (event) => picture.at(event),
    from: ([px, py]) => [x.back(px), y.back(py)], onmove: ([u, v]) => set({ u, v }) });
  grip.dataset.main = "";
  const picture = canvas("Which pairs of learning rates train the network", [map, next, nextInk], grip);
  picture.prepend(grid);
  const stage = html("div", { class: "gdl-stage" }, picture);
  const line = html("p", { class: "gdl-line" });
  const tag = html("p", { class: "gdl-regime" });
  const depth = slider({ label: "window", symbol: "", min: 0, max: get("windows").length - 1, step: 1,
    text: (level) => `${fmt(8 ** level)} ×`, oninput: (level) => set({ level, asked: [], own: [] }) });
  const zoomIn = button("", "Zoom in here", () => {
    const [left, right, low, high] = window_();
    const [a, b] = [left + get("u") * (right - left), low + get("v") * (high - low)];
    const [wide, high_] = [(right - left) / 16, (high - low) / 16];
    set({ asked: [a - wide, a + wide, b - high_, b + high_] });
  });
  const back = button("", "Back", () => set({ asked: [], own: [] }));
  const row = html("div", { class: "gdl-row" }, zoomIn, back);
  row.hidden = !live;
  const chip = (byte, text) => html("span", { class: "gdl-whole" }, html("span", { style: `display: inline-block; width: 18px; height: 12px; margin-right: 6px; border: 1px solid; background: rgb(${mapColour(byte)})` }), text);
  const legend = html("p", { class: "gdl-note gdl-marks" }, chip(100, "learns (lighter: sooner)"), chip(200, "does not (darker: sooner gone)"));
  const says = html("p", { class: "gdl-says" });
  const lossGrid = svg("g", { class: "gdl-grid" });
  const curve = svg("path", { class: "gdl-trail gdl-thin" });
  const level = svg("path", { class: "gdl-stop" });
  const lossPicture = canvas("The loss of the run under the ring", [level, curve]);
  lossPicture.prepend(lossGrid);
  const root = frame({ stage, line, side: [tag, lossPicture, depth, row, says, legend] });

  // ---- drawing

  function paint(width) {
    const size = Math.min(width - 72, 430);
    const box = { left: 58, right: 58 + size, top: 28, bottom: 28 + size };
    const [left, right, low, high] = window_();
    x = scale([0, 1], [box.left, box.right]);
    y = scale([0, 1], [box.bottom, box.top]);
    const [across, up] = [scale([left, right], [box.left, box.right]), scale([low, high], [box.bottom, box.top])];
    picture.cut(width, box.bottom + 48, box);
    const digits = (from, to) => Math.max(0, Math.ceil(-Math.log10((to - from) / 10)));
    const brief = (power) => (digits(left, right) > 5 ? "" : fmt(power, digits(left, right)));
    drawAxes(grid, across, up, box, { across: 3, up: 4, xName: "log₁₀ η₁, first layer", yName: "log₁₀ η₂, second layer",
      xText: brief, yText: brief });
    const now = drawn().colours;
    if (now !== imageFor) map.setAttribute("href", mapImage(drawn()));
    imageFor = now;
    build(map, { x: box.left, y: box.top, width: size, height: size }, []);
    const inner = !asked() && get("windows")[get("level") + 1]?.window;
    for (const node of [next, nextInk]) {
      node.style.display = inner ? "" : "none";
      if (inner) build(node, { x: across(inner[0]), y: up(inner[3]), width: across(inner[1]) - across(inner[0]), height: up(inner[2]) - up(inner[3]) }, []);
    }
    grip.place(x(shown.u), y(shown.v));
    const room = Math.max(200, Math.floor(lossPicture.parentNode.clientWidth));
    if (room !== side) side = room;
    paintLoss();
  }

  function paintLoss() {
    const box = { left: 46, right: side - 14, top: 24, bottom: 118 };
    const along = scale([0, losses.length - 1], [box.left, box.right]);
    const up = scale([1e-2, 1e6], [box.bottom, box.top], true);
    lossPicture.cut(side, 150, box, 3);
    drawAxes(lossGrid, along, up, box, { across: 4, up: 4, xName: "", yName: "loss / first loss, step by step",
      yText: (loss) => (loss > 100 ? "10" + raised(Math.round(Math.log10(loss))) : sig(loss)) });
    curve.setAttribute("d", trace(losses.map((loss, step) => [along(step), Number.isFinite(loss) ? clamp(up(Math.max(loss, 1e-9)), -99, 199) : NaN])));
    level.setAttribute("d", trace([[box.left, up(1)], [box.right, up(1)]]));
  }

  // ---- numbers

  function write() {
    const [lr1, lr2] = rates();
    if (trainedFor !== `${lr1} ${lr2}`) losses = trainNetwork(get("network"), lr1, lr2);
    trainedFor = `${lr1} ${lr2}`;
    const top = losses.findIndex((loss) => !(loss <= 1e6));
    const last = losses.slice(-21, -1);
    const mean = top < 0 ? last.reduce((sum, loss) => sum + loss, 0) / last.length : Infinity;
    Object.assign(root.dataset, { losses: JSON.stringify(losses.map((loss) => (Number.isFinite(loss) ? loss : null))), learns: mean < 1, rates: JSON.stringify([lr1, lr2]), window: JSON.stringify(window_()) });
    tag.replaceChildren(html("b", {}, mean < 1 ? "learns" : top < 0 ? "does not learn" : "diverges"));
    line.replaceChildren(html("b", {}, together(`η₁ = ${sig(lr1, 6)},`), " ", together(`η₂ = ${sig(lr2, 6)}.`)), " ",
      top < 0 ? `After ${losses.length - 1} steps the loss is ${sig(losses.at(-1))} of the first.` : `The loss passes a million times the first at step ${top}.`);
    const waiting = asked() && !get("own").length;
    says.textContent = waiting ? "Training the runs of this window …"
      : `${times() > 1.5 ? `Seen ${sig(times(), 2)} times as close as the whole map.` : "The whole map: each pixel is a training run."}${!asked() && get("level") < get("windows").length - 1 ? " The dashed frame is the next window." : ""}`;
    depth.set(get("level"));
    zoomIn.enable(!waiting && (window_()[1] - window_()[0]) / 8 > 1e-12);
    back.enable(asked());
  }

  return animate({ model, el, root, stage, line, shown, goal, write, paint,
    watched: ["level", "u", "v", "windows", "network", "asked", "own"], duration: () => (dragging ? 0 : 250) });
}
