// A range test: the loss while the rate rises by equal factors, the suggested rate, and the blow-up. The reader drags a rate
// along the curve (gdlab/figures/finder.py).

function lrFinder(model, el) {
  const { get, set } = traits(model);
  const lrs = () => get("lrs");
  const first = () => lrs()[0] ?? 1e-3;
  const final = () => (lrs().length > 1 ? lrs().at(-1) : 10 * first());
  const pick = () => clamp(get("lr"), first(), final());
  const losses = () => smoothLosses(get("losses"), get("beta"));
  const asked = () => suggestRate(lrs().map((lr, i) => [lr, losses_[i]]).slice(get("skip")));
  let losses_ = losses();
  const lossAt = (lr) => {  // between two rates that were tried, the line between them
    const next = lrs().findIndex((tried) => tried >= lr);
    if (next < 0 || losses_[next] === null) return NaN;
    if (lrs()[next] === lr || next === 0) return losses_[next];
    const part = Math.log(lr / lrs()[next - 1]) / Math.log(lrs()[next] / lrs()[next - 1]);
    return losses_[next - 1] + part * (losses_[next] - losses_[next - 1]);
  };
  const lowest = () => losses_.reduce((low, loss, i) => (loss !== null && (losses_[low] === null || loss < losses_[low]) ? i : low), 0);
  const take = (lr) => set({ lr: Number(clamp(lr, 1e-12, 1e6).toPrecision(3)) });

  const shown = { lr: Math.log10(pick()) };
  let dragging = false;
  function goal(held) {
    dragging = held;
    return { lr: Math.log10(pick()) };
  }

  // ---- the page

  let x = scale([1e-3, 1], [0, 1], true);
  let y = scale([0, 1], [0, 1]);
  let side = {};
  const grid = svg("g", { class: "gdl-grid" });
  const blown = svg("rect", { class: "gdl-after" });
  const raw = svg("path", { class: "gdl-trail gdl-raw" });
  const curve = svg("path", { class: "gdl-trail" });
  const stop = svg("path", { class: "gdl-stop" });
  const best = svg("path", { class: "gdl-best" });
  const spots = svg("g", {});
  const label = svg("g", {});
  const grip = handle({ label: "learning rate", min: () => Math.log10(first()), max: () => Math.log10(final()), step: 0.02,
    value: () => Math.log10(pick()), text: () => `η = ${sig(pick())}, loss ${sig(lossAt(pick()))}`,
    at: (event) => picture.at(event), from: ([px]) => Math.log10(x.back(px)), onmove: (power) => take(10 ** power) });
  grip.dataset.main = "";
  const picture = canvas("The loss over the learning rate", [blown, raw, curve, stop, best, spots], label, grip);
  picture.prepend(grid);
  const slopeGrid = svg("g", { class: "gdl-grid" });
  const slopeLine = svg("path", { class: "gdl-second" });
  const steepest = svg("path", { class: "gdl-best" });
  const slopePicture = canvas("The slope of the loss against the logarithm of the rate", [slopeLine, steepest]);
  slopePicture.prepend(slopeGrid);
  const stage = html("div", { class: "gdl-stage" }, picture);
  const line = html("p", { class: "gdl-line" });
  const smoothing = slider({ label: "smoothing", symbol: "β", min: 0, max: 0.99, step: 0.01, oninput: (beta) => set({ beta }) });
  const skipping = slider({ label: "points skipped", symbol: "", min: 0, max: Math.max(2, Math.floor(lrs().length / 2)), step: 1,
    oninput: (skip) => set({ skip }) });
  const reveal = toggle("show the suggestion", (on) => set({ reveal: on }));
  const snaps = [
    button("", "Take the suggestion", () => take(suggestion())),
    button("", "Lowest ÷ 10", () => take(lrs()[lowest()] / 10)),
  ];
  const says = html("p", { class: "gdl-says gdl-tall" });
  const root = frame({ stage, line, side: [reveal, html("div", { class: "gdl-guesses" }, snaps), smoothing, skipping, says, slopePicture] });
  const suggestion = () => (get("own_suggest") ? get("suggested") : asked().suggested);

  // ---- drawing

  function paint(width) {
    const height = clamp(Math.round(width * 0.62), 280, 400);
    const box = { left: 50, right: width - 14, top: 26, bottom: height - 48 };
    const known = losses_.filter((loss) => loss !== null);
    const low = lowest();
    const calm = losses_.slice(0, low + 1).filter((loss) => loss !== null);  // what comes after the lowest may be anything
    const top = Math.min(Math.max(...known), 1.7 * Math.max(...calm, 0) || Infinity);
    const floor = Math.max(Math.min(0, ...known), -1e9);
    x = scale([first() / 1.2, final() * 1.2], [box.left, box.right], true);
    const ceiling = Number.isFinite(top) && top > floor ? top : floor + 1;
    y = scale([floor, floor + (ceiling - floor) * 1.06], [box.bottom, box.top]);
    picture.cut(width, height, box, 3);
    drawAxes(grid, x, y, box, { across: width < 430 ? 4 : 7, xName: "learning rate η, each step a factor", yName: "loss L" });
    const place = (values) => values.map((loss, i) => [x(lrs()[i]), loss === null ? NaN : clamp(y(loss), -9999, 9999)]);
    raw.setAttribute("d", get("beta") ? trace(place(get("losses"))) : "");
    curve.setAttribute("d", trace(place(losses_)));

    const names = [];
    const beside = (px, py, kind, text, right = true) => {
      const turned = right ? px + 12 + extent([text]) > box.right : px - 12 - extent([text]) > box.left;
      names.push(words(px + (turned ? -12 : 12), py, kind, turned ? "end" : "start", text));
    };
    const falls = low < losses_.length - 1 && known.length > 1;
    const edge = falls ? x(lrs()[low]) : box.right + 4;
    build(blown, { x: edge, y: 0, width: Math.max(0, box.right + 4 - edge), height }, []);
    if (falls) {
      names.push(words(Math.min(edge + 6, box.right - 60), box.top + 16, "gdl-quiet-name", "start", "blow-up"));
      if (Math.abs(x(pick()) - edge) > 80) names.push(words(edge, clamp(y(losses_[low]) + 22, box.top, box.bottom - 6), "gdl-minimum-name", "middle", "lowest"));
    }

    const found = get("reveal") ? suggestion() : null;
    const right = get("own_suggest") && get("reveal") ? asked().suggested : null;
    const mark = (lr) => [clamp(x(lr), box.left - 9, box.right + 9), clamp(y(lossAt(lr)), box.top, box.bottom)];
    const drawn = found !== null && Number.isFinite(lossAt(found));
    const [sx, sy] = drawn ? mark(found) : [0, 0];
    best.setAttribute("d", drawn ? `M${sx.toFixed(1)} ${(sy - 9).toFixed(1)}l9 9l-9 9l-9 -9z` : "");
    stop.setAttribute("d", drawn ? trace([[sx, sy], [sx, box.top + 46]]) : "");
    if (drawn) beside(sx, box.top + 46, "gdl-best-name", `${get("own_suggest") ? "your suggestion" : "suggested"}: ${sig(found)}`, false);
    const marks = [svg("circle", { cx: falls ? edge : -99, cy: falls ? y(losses_[low]) : -99, r: 5, class: "gdl-minimum" })];
    if (right !== null && Number.isFinite(lossAt(right))) {
      const [rx, ry] = mark(right);
      marks.push(svg("circle", { cx: rx, cy: ry, r: 7, class: "gdl-ghost" }));
      names.push(words(rx - 12, ry + 36, "gdl-quiet-name", "end", `gdlab: ${sig(right)}`));
    }
    const at = 10 ** shown.lr;
    const [px, py] = [clamp(x(at), box.left, box.right), Number.isFinite(lossAt(at)) ? clamp(y(lossAt(at)), box.top, box.bottom) : box.bottom];
    grip.place(px, py, px, box.bottom);
    const text = `η = ${sig(pick())}`;
    spots.replaceChildren(...marks, stroke(px, box.bottom, px, py, "gdl-drop"), svg("circle", { cx: px, cy: py, r: 7, class: "gdl-now" }));
    const end = px + 14 + extent([text]) > edge;
    label.replaceChildren(...names, words(px + (end ? -14 : 14), py + (end ? 22 : -12), "gdl-here", end ? "end" : "start", text));
    if (side.width !== width) side = { width, room: Math.max(200, Math.floor(slopePicture.parentNode.clientWidth)) };
    paintSlopes();
  }

  function paintSlopes() {
    const box = { left: 46, right: side.room - 8, top: 24, bottom: 96 };
    const { known, slopes, suggested } = asked();
    const deep = slopes.length ? Math.min(...slopes, -1e-12) : -1;
    const along = scale([first() / 1.2, final() * 1.2], [box.left, box.right], true);
    const up = scale([1.15 * deep, -0.6 * deep], [box.bottom, box.top]);
    slopePicture.cut(side.room, 118, box, 6);
    drawAxes(slopeGrid, along, up, box, { across: 4, up: 2, xName: "", yName: "slope dL/d ln η" });
    slopeLine.setAttribute("d", trace(slopes.map((slope, i) => [along(known[i][0]), clamp(up(slope), -999, 999)])));
    const there = get("reveal") && suggested !== null;
    steepest.setAttribute("d", there ? `M${along(suggested).toFixed(1)} ${(up(deep) - 7).toFixed(1)}l7 7l-7 7l-7 -7z` : "");
  }

  // ---- numbers

  function write() {
    losses_ = losses();
    const { slopes, suggested } = asked();
    root.dataset.smoothed = JSON.stringify(losses_);
    root.dataset.slopes = JSON.stringify(slopes);
    root.dataset.suggested = JSON.stringify(suggested);
    const found = suggestion();
    const ratio = pick() / found;
    const low = lowest();
    const say = [html("b", {}, together(`η = ${sig(pick())}.`)), " ", together(`Loss ${sig(lossAt(pick()))}`), ", "];
    say.push(pick() > lrs()[low] ? "beyond the lowest: the blow-up has begun." : "before the lowest.");
    if (get("reveal") && found !== null) say.push(" ", together(Math.abs(ratio - 1) < 0.005 ? "It is" : ratio > 1 ? `${sig(ratio)} times` : `1/${sig(1 / ratio)} of`), " the suggestion.");
    if (get("trouble")) say.splice(0, say.length, html("b", { class: "gdl-trouble" }, get("trouble")));
    line.replaceChildren(...say);
    const place = suggested === null ? "The loss never falls along this curve: start at a lower rate, or look for a bug."
      : `The loss falls fastest at ${sig(suggested)}, and is lowest at ${sig(lrs()[low])}: there the explosion has begun.`;
    const own = get("own_suggest") && found !== null ? `Your function suggests ${sig(found)}. ` : "";
    says.replaceChildren(get("reveal") ? own + place : "Which rate would you take? Drag it there, then show the suggestion.");
    smoothing.set(get("beta"));
    skipping.set(get("skip"));
    const frozen = get("own_suggest") && model.kernel === false;  // nobody can ask a learner's own function again
    smoothing.hidden = skipping.hidden = frozen;
    reveal.set(get("reveal"));
    snaps[0].enable(get("reveal") && found !== null);
    snaps[1].enable(losses_.length > 0);
  }

  return animate({
    model, el, root, stage, line, shown, goal, write, paint,
    watched: ["lr", "beta", "skip", "reveal", "own", "lrs", "losses", "own_suggest", "suggested", "trouble"],
    duration: () => (dragging ? 0 : 250),
  });
}
