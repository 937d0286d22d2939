// Counting: every example is a tile, every update takes the next batch of them, and each epoch has an order of its own.
// `frame` says how many updates have been made, as a step number does in gdlab/counting.py.

function epochCounter(model, el) {
  const { get, set } = traits(model);
  const [n, size, drop] = [() => get("n_examples"), () => get("batch_size"), () => get("drop_last")];
  const perEpoch = () => (drop() ? Math.floor(n() / size()) : Math.ceil(n() / size()));
  const last = () => get("epochs") * perEpoch();
  const at = () => clamp(get("frame"), 0, last());

  // gdlab.counting
  const whereAmI = (step) => [Math.floor(step / perEpoch()), step % perEpoch()];
  const inEpoch = () => (drop() ? n() - (n() % size()) : n());
  const examplesSeen = (step) => whereAmI(step)[0] * inEpoch() + whereAmI(step)[1] * size();
  const divisor = (a, b) => (b ? divisor(b, a % b) : a);
  function epochsSeen(step) {
    const common = divisor(examplesSeen(step), n());
    const [above, below] = [examplesSeen(step) / common, n() / common];
    return below === 1 ? String(above) : `${above}/${below}`;
  }

  function orders() {
    const chance = seeded(get("seed"));
    return Array.from({ length: get("epochs") }, () => chance.permutation(n()));
  }
  const epochShown = (frame) => (frame > 0 ? Math.floor((frame - 1) / perEpoch()) : 0);  // that of the last update made

  // What the eye sees: a frame that may lie between two whole ones, and how much of the change to other tiles is over.
  const shown = { frame: at(), turn: 0 };
  let [turn, laidFor, drawn, origin] = [0, "", [], []];
  let [order, all] = [orders(), perEpoch()];

  // ---- the page

  let x = scale([0, 1], [0, 1]);
  let flowed = null;
  const tiles = svg("g", {});
  const names = svg("g", {});
  const ruler = svg("g", { class: "gdl-grid" });
  const grip = handle({ label: "updates made", min: 0, max: last, step: 1, value: at,
    text: () => (all ? `${at()} of ${last()}: epoch ${whereAmI(at()).join(", step ")}` : "no updates"),
    at: (event) => picture.at(event), from: ([px]) => x.back(px), onmove: (frame) => go(frame) });
  grip.dataset.main = "";
  grip.querySelector("text").remove();  // the axis has the same name
  const picture = canvas("The examples in this epoch's order, and the updates", [], names, tiles, ruler, grip);
  const stage = html("div", { class: "gdl-stage", tabindex: "0", role: "group",
    "aria-label": "Epochs and steps. Arrow keys step, Space plays, Home resets." }, picture);
  const line = html("p", { class: "gdl-line" });
  const play = player({ frame: at, last, go: (frame) => set({ frame }), pace: 1100 });
  function go(frame) {
    play.pause();
    set({ frame });
  }
  // Another count of examples or batches: the updates made stay as many, as far as there are so many.
  function change(setting) {
    play.pause();
    set(setting);
    if (get("frame") > last()) set({ frame: last() });
  }
  const rule = html("p", { class: "gdl-rule gdl-counted" });
  const amount = slider({ label: "examples", symbol: "n", min: 1, max: 48, step: 1, oninput: (n_examples) => change({ n_examples }) });
  const batch = slider({ label: "batch size", symbol: "B", min: 1, max: 24, step: 1, oninput: (batch_size) => change({ batch_size }) });
  const flip = toggle("drop a short last batch", (drop_last) => change({ drop_last }));
  flip.classList.add("gdl-plain");
  const code = html("pre", { class: "gdl-code gdl-small", tabindex: "0", "aria-label": "the same in Python, with gdlab.counting" });
  const root = frame({ stage, line, foot: play.bar, onkeydown: play.onkeydown, side: [rule, amount, batch, flip, code] });

  // ---- drawing

  // Tiles of edge t in rows: a batch stays together where it fits into a row.
  function flow(t, width) {
    const [spots, groups] = [[], []];
    let [px, py] = [0, 0];
    for (let start = 0; start < n(); start += size()) {
      const count = Math.min(size(), n() - start);
      const length = count * (t + 3) - 3;
      if (px > 0 && px + length > width) [px, py] = [0, py + t + 26];
      const left = px;
      for (let i = 0; i < count; i++) {
        if (px > 0 && px + t > width) [px, py] = [0, py + t + 3];
        spots.push([px, py]);
        px += t + 3;
      }
      groups.push({ left: px - 3 < left + length - 1 ? 0 : left, right: px - 3, below: py + t, dropped: drop() && count < size() });
      px += Math.max(8, 0.4 * t) - 3;
    }
    return { t, spots, groups, height: py + t + 22 };
  }
  function fitted(width, height) {
    for (let t = 46; t > 9; t -= 1) {
      const tried = flow(t, width);
      if (tried.height <= height) return tried;
    }
    return flow(9, width);
  }

  const whatIsSet = () => JSON.stringify(["n_examples", "batch_size", "drop_last", "epochs", "seed"].map(get));

  function paint(width) {
    if (laidFor !== whatIsSet()) return;  // changed since the numbers were written: they come first
    const height = 340;  // whatever the numbers are
    const box = { left: 14, right: width - 14, top: 36, bottom: height - 46 };
    x = scale([0, Math.max(1, last())], [box.left, box.right]);
    picture.cut(width, height, box);
    const key = `${width} ${n()} ${size()} ${drop()}`;
    if (flowed?.key !== key) flowed = { ...fitted(width - 2, box.bottom - 66 - box.top), key };
    const { t, spots, groups } = flowed;

    const whole = Math.min(Math.floor(shown.frame + 1e-9), last());
    const part = whole < last() ? clamp(shown.frame - whole, 0, 1) : 0;
    const [now, next] = [epochShown(whole), epochShown(Math.min(whole + 1, last()))];
    const moved = now === next ? 0 : Math.min(1, part / 0.75);  // first the tiles change places, then the next batch is taken
    const frameShown = part > 0.75 ? whole + 1 : whole;
    const epoch = moved > 0.5 ? next : now;
    const taken = frameShown - epoch * all;  // updates made in the epoch that is shown; 0 while it is shuffled
    const blend = clamp(1 - (turn - shown.turn), 0, 1);
    const place = (order) => order.reduce((places, example, i) => ((places[example] = spots[i]), places), []);
    const [from, to] = [place(order[now]), place(order[next])];
    drawn = from.map(([px, py], example) => {
      let spot = [px + (to[example][0] - px) * moved, py + (to[example][1] - py) * moved];
      if (blend < 1 && origin[example]) spot = spot.map((value, j) => origin[example][j] + (value - origin[example][j]) * blend);
      return spot;
    });
    const kinds = [];
    order[epoch].forEach((example, i) => {
      const group = Math.floor(i / size());
      kinds[example] = groups[group].dropped ? "gdl-dropped" : group === taken - 1 ? "gdl-taken" : group < taken ? "gdl-used" : "gdl-waiting";
    });
    tiles.replaceChildren(...drawn.map(([px, py], example) => svg("g", { class: "gdl-tile " + kinds[example], transform: `translate(${(px + 1).toFixed(1)} ${(py + box.top).toFixed(1)})` },
      svg("rect", { width: t, height: t, rx: Math.min(6, t / 5) }),
      t < 17 ? null : svg("text", { x: t / 2, y: t / 2 + 4.5, "text-anchor": "middle", style: `font-size: ${Math.min(13, 0.56 * t).toFixed(1)}px` }, String(example)))));
    paintNames(groups, epoch, taken, t, box.top);
    if (epoch > 0) names.append(words(1, box.bottom - 46, "gdl-quiet-name", "start", before(order[epoch - 1], epoch - 1, width)));
    paintRuler(box, height);
    grip.place(x(clamp(shown.frame, 0, last())), box.bottom, x(clamp(shown.frame, 0, last())), box.bottom);
  }

  function paintNames(groups, epoch, taken, t, top) {
    const title = all ? [`Epoch ${epoch}`, taken <= 0 ? "shuffled" : taken === all ? "complete" : ""] : ["No full batch", ""];
    const wide = groups[0].right - groups[0].left;
    const full = wide > 52;
    const room = full ? wide : wide + Math.max(8, 0.4 * t);
    const every = Math.max(1, Math.ceil((full ? 1 : 24) / room));
    names.replaceChildren(
      svg("text", { x: 1, y: 18, class: "gdl-here" }, title[0], svg("tspan", { dx: 8, class: "gdl-quiet-name", "font-weight": 400 }, title[1])),
      ...groups.flatMap((group, i) => {
        const px = (group.left + group.right) / 2 + 1;
        const py = top + group.below + 15;
        if (group.dropped) return [words(px, py, "gdl-quiet-name", "middle", full && group.right - group.left > 52 ? "dropped" : "✕")];
        if (i % every && i !== taken - 1) return [];
        if (i !== taken - 1 && every > 1 && Math.abs(i - taken + 1) < every) return [];
        const step = epoch * all + i;
        return [words(px, py, i === taken - 1 ? "gdl-step-name" : "gdl-quiet-name", "middle",
          full && group.right - group.left > 52 ? `step ${step}` : String(step))];
      }));
  }

  // The order of the epoch before, batch by batch, as far as the line has room.
  function before(order, epoch, width) {
    const batches = Array.from({ length: all }, (_, i) => order.slice(i * size(), (i + 1) * size()).join(" "));
    const text = `Epoch ${epoch}: ${batches.join(" | ")}`;
    const most = Math.floor(width / 7.2);
    return text.length > most ? text.slice(0, most - 2) + " …" : text;
  }

  // All updates from left to right, epoch by epoch.
  function paintRuler(box, height) {
    const band = [box.bottom - 34, 20];
    const epochs = all ? Array.from({ length: get("epochs") }, (_, epoch) => [x(epoch * all), x((epoch + 1) * all)]) : [];
    const marks = x.ticks(8).filter(Number.isInteger);
    ruler.replaceChildren(
      ...epochs.map(([left, right]) => svg("rect", { x: left + 1, y: band[0], width: right - left - 2, height: band[1], rx: 4, class: "gdl-epoch" })),
      svg("rect", { x: box.left, y: band[0], width: x(clamp(shown.frame, 0, last())) - box.left, height: band[1], rx: 4, class: "gdl-made" }),
      ...epochs.map(([left, right], epoch) => words((left + right) / 2, band[0] + 15, "", "middle", right - left > 66 ? `epoch ${epoch}` : String(epoch))),
      stroke(box.left, box.bottom, box.right, box.bottom, "gdl-axis"),
      ...(all ? marks : [0]).flatMap((step) => [stroke(x(step), box.bottom, x(step), box.bottom + 5, "gdl-axis"), words(x(step), box.bottom + 24, "", "middle", String(step))]),
      ...wrong().map((step) => svg("path", { class: "gdl-wrong", d: `M${x(step) - 4} ${band[0] - 10}l8 8m0 -8l-8 8` })),
      words(box.right, height - 6, "gdl-title", "end", "updates made"));
  }

  // ---- numbers

  // Where a learner's own where_am_i says something else.
  const wrong = () => get("places").flatMap((place, step) => (step > last() || String(place) === String(whereAmI(step)) ? [] : [step]));

  function write() {
    const key = whatIsSet();
    if (key !== laidFor) {
      if (laidFor) {
        [origin, turn] = [drawn, turn + 1];
        shown.turn = turn - 1;
      }
      [laidFor, order, all] = [key, orders(), perEpoch()];
    }
    const step = at();
    const [epoch, within] = all ? whereAmI(step) : [0, 0];
    const cut = (one) => Array.from({ length: all }, (_, i) => one.slice(i * size(), (i + 1) * size()));
    root.dataset.batches = JSON.stringify(order.map(cut));
    root.dataset.frame = step;
    root.dataset.counts = JSON.stringify(all ? [all, epoch, within, examplesSeen(step), epochsSeen(step)] : [0]);
    const [open, close] = drop() ? "⌊⌋" : "⌈⌉";
    rule.replaceChildren(`${open}${n()} / ${size()}${close} = `, html("b", {}, String(all)), ` step${all === 1 ? "" : "s"} an epoch`);
    const say = [html("b", {}, `${step} of ${last()} updates made.`), " "];
    if (!all) say.push("Every batch is short, and short ones are dropped.");
    else {
      const seen = examplesSeen(step);
      say.push(together(`${seen} example${seen === 1 ? "" : "s"} seen: ${epochsSeen(step)} epoch${epochsSeen(step) === "1" ? "" : "s"}.`), " ");
      if (get("own")) say.push(saidOfOwn(step));
      else if (step === last()) say.push(together("The run is over."));
      else say.push(together(`Next: step ${step}${within ? `, step ${within} of epoch ${epoch}.` : `, epoch ${epoch} begins.`}`));
    }
    line.replaceChildren(...say);
    const given = [n(), size(), ...(drop() ? ["True"] : [])].join(", ");
    const call = (name, answer) => `${name}(${name === "steps_per_epoch" ? "" : step + ", "}${given})\n  ${answer}`;
    code.textContent = all ? [call("steps_per_epoch", all), call("where_am_i", `(${epoch}, ${within})`), call("examples_seen", examplesSeen(step)),
      call("epochs_seen", epochsSeen(step))].join("\n") : call("steps_per_epoch", 0);
    amount.set(n());
    batch.set(size());
    flip.set(drop());
    // Without a kernel nobody can ask a learner's own function again: what would ask for it is put away.
    const frozen = get("own") && model.kernel === false;
    for (const node of [amount, batch, flip]) node.hidden = frozen;
    play.refresh();
  }

  function saidOfOwn(step) {
    const place = get("places")[step];
    if (!place) return html("b", { class: "gdl-trouble" }, get("trouble"));
    const right = whereAmI(step);
    const agrees = String(place) === String(right);
    return together(agrees ? `✓ Yours says (${place.join(", ")}).` : `Yours says (${place.join(", ")}), it is (${right.join(", ")}).`);
  }

  return animate({
    model, el, root, stage, line, shown, write, paint, stop: play.pause,
    watched: ["n_examples", "batch_size", "drop_last", "epochs", "seed", "frame", "own", "places", "trouble"],
    goal: () => ({ frame: at(), turn }),
    duration: (next) => (next.frame === shown.frame ? 350 : 600),
  });
}
