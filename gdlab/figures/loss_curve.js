// A run's loss curve: train and validation on linear or logarithmic axes, with marks for overfitting, clipping and the
// checkpoint that early stopping keeps (gdlab/figures/losses.py). Steps count the updates made.

// Between a linear scale (part 0) and a logarithmic one from `low` (part 1), which has no place below that.
function scaleBetween(linear, log, part, low) {
  const map = (value) => {
    const there = value >= low ? log(value) : part === 1 ? NaN : log(low);
    return part ? linear(value) + (there - linear(value)) * part : linear(value);
  };
  const near = part > 0.5 ? log : linear;
  return Object.assign(map, { back: near.back, ticks: near.ticks });
}

function lossCurve(model, el) {
  const { get, set } = traits(model);
  const losses = () => get("losses");
  const last = () => Math.max(0, losses().length - 1);
  const at = () => clamp(get("step"), 0, last());
  const validated = () => get("val_losses").length > 0;
  const clipped = () => (get("max_norm") === null ? [] : get("norms").flatMap((norm, i) => (norm > get("max_norm") ? [i] : [])));
  const number = (loss) => (loss === null || loss === undefined ? NaN : loss);
  const smoothed = () => smoothLosses(losses(), get("beta"));
  const lowest = () => get("val_losses").reduce((low, loss, i, all) => (number(loss) < number(all[low]) || all[low] === null ? i : low), 0);
  const lastValidation = (step) => get("val_steps").findLastIndex((made) => made <= step);

  const shown = { stepLog: 0, lossLog: 0 };
  const goal = () => ({ stepLog: Number(get("step_axis") === "log"), lossLog: Number(get("loss_axis") === "log") });

  // ---- the page

  let x = scale([0, 1], [0, 1]);
  let y = x;
  const grid = svg("g", { class: "gdl-grid" });
  const past = svg("rect", { class: "gdl-after" });
  const raw = svg("path", { class: "gdl-trail gdl-raw" });
  const train = svg("path", { class: "gdl-trail" });
  const validation = svg("path", { class: "gdl-second" });
  const dots = svg("path", { class: "gdl-second gdl-dots" });
  const rug = svg("path", { class: "gdl-rug" });
  const stop = svg("path", { class: "gdl-stop" });
  const best = svg("path", { class: "gdl-best" });
  const label = svg("g", {});
  const cursor = handle({ label: "step", thumb: false, min: 0, max: last, step: 1, value: at,
    text: () => `step ${at()}, loss ${sig(number(losses()[at()]))}`, at: (event) => picture.at(event), from: ([px]) => x.back(px),
    onmove: (step) => set({ step }) });
  cursor.dataset.main = "";
  const picture = canvas("The loss over the steps", [past, raw, train, validation, dots, rug, stop, best], label, cursor);
  picture.prepend(grid);
  hovered(picture, ([px]) => {
    const step = Math.round(x.back(px));
    if (step >= 0 && step <= last()) set({ step });
  });
  const stage = html("div", { class: "gdl-stage gdl-pan" }, picture);
  const line = html("p", { class: "gdl-line" });
  const axis = (name, trait) => {
    const choice = segments(name + " axis", [["linear", "linear"], ["log", "log"]], (value) => set({ [trait]: value }));
    const node = html("div", { class: "gdl-named" }, html("span", { "aria-hidden": "true" }, name + " axis"), choice);
    node.show = () => choice.set(get(trait));
    return node;
  };
  const axes = [axis("loss", "loss_axis"), axis("step", "step_axis")];
  const smoothing = slider({ label: "smoothing", symbol: "β", min: 0, max: 0.99, step: 0.01, oninput: (beta) => set({ beta }) });
  const patience = slider({ label: "patience", symbol: "", min: 1, max: Math.max(2, get("val_losses").length), step: 1,
    oninput: (value) => set({ patience: value }) });
  const marks = [["overfitting", validated], ["clipping", () => clipped().length > 0], ["checkpoint", validated]].map(([name, there]) => {
    const one = toggle(name, (on) => set({ [name]: on }));
    one.show = () => {
      one.set(get(name));
      one.hidden = !there();
    };
    return one;
  });
  const says = html("p", { class: "gdl-says" });
  const root = frame({ stage, line, side: [...axes, smoothing, patience, html("div", { class: "gdl-marks" }, marks), says] });

  // ---- drawing

  // How far the axes reach: all of a run that behaves; of one that explodes, a few times its first loss.
  function reach() {
    const all = [...losses(), ...get("val_losses")].filter((loss) => loss !== null);
    const positive = all.filter((loss) => loss > 0);
    const high = Math.max(...positive, 1e-300);
    const top = Math.min(high, 4 * (all.find((loss) => loss > 0) || 1));
    const low = Math.max(Math.min(...positive, top / 2), 1e-300);
    const floor = Math.max(Math.min(0, ...all), -1e9);
    return { right: Math.max(2, losses().length, ...get("val_steps")), floor, top: positive.length ? top : 1, low, high: Math.max(high, 2 * low) };
  }

  function paint(width) {
    const height = clamp(Math.round(width * 0.62), 280, 400);
    const box = { left: 56, right: width - 14, top: 26, bottom: height - 48 };
    const { right, floor, top, low, high } = reach();
    const headroom = high * (high / low) ** 0.13;  // for the names that stand at the top
    x = scaleBetween(scale([0, right * 1.02], [box.left, box.right]), scale([1, right * 1.05], [box.left, box.right], true), shown.stepLog, 1);
    y = scaleBetween(scale([floor, top * 1.06], [box.bottom, box.top]), scale([low / 1.3, headroom], [box.bottom, box.top], true), shown.lossLog, low / 1.3);
    picture.cut(width, height, box, 3);
    drawAxes(grid, x, y, box, { across: width < 430 ? 4 : 7, xName: "step", yName: "loss L" });
    const spots = (steps, values) => values.map((loss, i) => [x(steps ? steps[i] : i), clamp(y(number(loss)), -9999, 9999)]);
    const smooth = smoothed();
    const held = spots(get("val_steps"), get("val_losses"));
    raw.setAttribute("d", get("beta") ? trace(spots(null, losses())) : "");
    train.setAttribute("d", trace(spots(null, smooth)));
    validation.setAttribute("d", trace(held));
    dots.setAttribute("d", held.filter((spot) => spot.every(Number.isFinite)).map(([px, py]) => `M${px.toFixed(1)} ${py.toFixed(1)}h0`).join(""));
    const logarithmic = shown.lossLog > 0.5;
    const names = [];
    const called = (px, py, kind, text, leftwards) => {  // beside a place, where there is room
      const room = 8 + extent([text]);
      const turned = leftwards ? px - room > box.left : px + room > box.right;
      names.push(words(px + (turned ? -8 : 8), py, kind, turned ? "end" : "start", text));
      return turned;
    };

    const marked = get("clipping") ? clipped().filter((step) => Number.isFinite(x(step))) : [];
    rug.setAttribute("d", marked.map((step) => `M${x(step).toFixed(1)} ${box.top}v9`).join(""));
    if (marked.length) {
      const text = `gradient clipped: ${clipped().length} steps`;
      const end = x(marked.at(-1));
      const beside = end + 8 + extent([text]) < box.right;
      names.push(words(beside ? end + 8 : box.right, box.top + (beside ? 10 : 25), "gdl-clip-name", beside ? "start" : "end", text));
    }

    const turn = validated() ? held[lowest()] : [NaN, NaN];
    const over = get("overfitting") && Number.isFinite(turn[0]) && lowest() < held.length - 1;
    build(past, { x: over ? turn[0] : 0, y: 0, width: over ? box.right + 4 - turn[0] : 0, height }, []);
    if (over) names.push(logarithmic ? words(Math.min(turn[0] + 8, box.right + 4 - extent(["overfitting"])), box.bottom - 9, "gdl-quiet-name", "start", "overfitting")
      : words(box.right - 4, box.top + 50, "gdl-quiet-name", "end", "overfitting"));

    const [end, kept] = validated() ? earlyStop(get("val_losses"), get("patience")) : [0, 0];
    const spent = end - kept >= get("patience");
    const placed = get("checkpoint") && validated() && [...held[end], ...held[kept]].every(Number.isFinite);
    const level = logarithmic ? box.bottom - 32 : box.top + 76;
    const [[ex, ey], [kx, ky]] = placed ? [held[end], held[kept]] : [[0, 0], [0, 0]];
    stop.setAttribute("d", placed ? (spent ? trace([[ex, ey], [ex, level]]) : "") + trace([[kx, ky], [kx, level]]) : "");
    best.setAttribute("d", placed ? `M${kx.toFixed(1)} ${(ky - 8).toFixed(1)}l8 8l-8 8l-8 -8z` : "");
    if (placed) {
      const left = called(kx, level, "gdl-best-name", "checkpoint", true);
      const apart = left && ex + 8 + extent(["early stop"]) < box.right;
      if (spent) called(ex, level + (apart ? 0 : logarithmic ? -18 : 18), "gdl-best-name", "early stop");
    }

    const near = (step, values, steps) => {  // a curve's name stands at its end, above it
      const i = values.findLastIndex((loss, k) => loss !== null && (steps ? steps[k] : k) <= step);
      return i < 0 || !Number.isFinite(x(steps ? steps[i] : i) + y(values[i])) ? null : [x(steps ? steps[i] : i), clamp(y(values[i]), box.top + 14, box.bottom)];
    };
    const ends = validated() ? near(Infinity, get("val_losses"), get("val_steps")) : null;
    if (ends) names.push(words(ends[0], ends[1] - 10, "gdl-tangent-name", "end", "validation"));
    const tail = near(Infinity, smooth);
    if (tail) names.push(words(tail[0], tail[1] + (logarithmic ? -24 : -8), "gdl-step-name", "end", "train"));

    const step = at();
    const spot = number(smooth[step]);
    const px = clamp(Number.isFinite(x(step)) ? x(step) : box.left, box.left, box.right);
    const py = clamp(Number.isFinite(y(spot)) ? y(spot) : box.bottom, box.top, box.bottom);
    cursor.place(px, py);
    const far = px + 14 + extent([`step ${step}`]) > box.right;
    names.push(words(px + (far ? -14 : 14), Math.max(py - 6, box.top + 40), "gdl-here", far ? "end" : "start", `step ${step}`));
    label.replaceChildren(stroke(px, box.bottom, px, py, "gdl-drop"), ...keptApart(names, box));
  }

  // ---- numbers

  function write() {
    const step = at();
    const smooth = smoothed();
    const seen = lastValidation(step);
    const norm = get("norms")[step];
    root.dataset.smoothed = JSON.stringify(smooth);
    const say = [html("b", {}, `Step ${step}.`), " ", together(`Batch loss ${sig(number(losses()[step]))}`)];
    if (get("beta")) say.push(", ", together(`smoothed ${sig(number(smooth[step]))}`));
    say.push(". ");
    if (seen >= 0) say.push(together(`Validation ${sig(number(get("val_losses")[seen]))}`), " ", together(`at step ${get("val_steps")[seen]}.`), " ");
    if (norm !== undefined) say.push(together(`Gradient norm ${sig(number(norm))}`), ...(clipped().includes(step) ? [", ", together(`clipped to ${sig(get("max_norm"))}`)] : []), ".");
    if (get("trouble")) say.splice(0, say.length, html("b", { class: "gdl-trouble" }, get("trouble")));
    line.replaceChildren(...say);

    axes.forEach((choice) => choice.show());
    smoothing.set(get("beta"));
    patience.set(get("patience"));
    patience.hidden = !validated();
    marks.forEach((mark) => mark.show());
    const broken = losses().indexOf(null);
    const told = [];
    if (broken >= 0) told.push(`From step ${broken} on the loss is no number: this run diverged. `);
    root.dataset.stop = "null";
    if (validated()) {
      const [values, steps] = [get("val_losses"), get("val_steps")];
      const [end, kept] = earlyStop(values, get("patience"));
      root.dataset.stop = JSON.stringify([steps[end], steps[kept]]);
      const spent = end - kept >= get("patience");
      told.push(spent ? `Patience ends at step ${steps[end]} and keeps the checkpoint of step ${steps[kept]}: `
        : `Patience lasts to the end, and the checkpoint of step ${steps[kept]} is kept: `,
        together(`validation ${sig(number(values[kept]))}`), `, ${sig(number(values.at(-1)))} at the end.`);
    }
    says.replaceChildren(...told);
  }

  return animate({
    model, el, root, stage, line, shown, goal, write, paint,
    watched: ["step", "loss_axis", "step_axis", "beta", "patience", "overfitting", "clipping", "checkpoint", "own", "losses",
      "norms", "val_steps", "val_losses", "max_norm", "trouble"],
    duration: () => 450,
  });
}
