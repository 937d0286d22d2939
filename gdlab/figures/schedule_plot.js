// Schedules: the learning rate over the steps of a run; warm-up, peak, floor and length are dragged, any step is read out.

const scheduleForms = {
  constant: ["constant", "The same rate at every step.", ["peak"]],
  linear_warmup: ["warm-up", "Up in a straight line, then level.", ["warm-up", "peak"]],
  warmup_cosine: ["warm-up, then cosine", "Up in a straight line, then half a cosine wave down to the floor.",
    ["warm-up", "peak", "floor"]],
  linear_decay: ["linear", "Down in a straight line to the floor.", ["peak", "floor"]],
  step_decay: ["step", "A tenth of the rate at half of the run, and again at three quarters.", ["peak"]],
  inverse_sqrt: ["inverse square root", "Up in a straight line, then down with one over the root of the step.",
    ["warm-up", "peak"]],
  one_cycle: ["1cycle", "Half a cosine wave up from a 25th of the peak, then one down to almost nothing.", ["warm-up", "peak"]],
  wsd: ["warm-up, stable, decay", "Up, level, and down over the last fifth of the run.", ["warm-up", "peak", "floor"]],
  cyclic: ["cyclic", "Triangles: each rise and each fall takes as long as the warm-up.", ["warm-up", "peak", "floor"]],
};

function schedulePlot(model, el) {
  const { get, set } = traits(model);
  const own = () => get("own");
  const named = () => get("beside");
  const total = () => get("total_steps");
  const peak = () => get("peak_lr");
  const floor = () => Math.min(get("floor_lr"), peak());
  const warm = () => Math.min(get("warmup_steps"), total());

  // What gdlab's schedule gets: gdlab/figures/schedule.py has the same table.
  function settings(name) {
    const [peak_lr, floor_lr, warmup_steps, total_steps] = [peak(), floor(), warm(), total()];
    const decay_steps = Math.min(Math.floor(total_steps / 5), total_steps - warmup_steps);
    return {
      constant: { base_lr: peak_lr },
      linear_warmup: { peak_lr, warmup_steps },
      warmup_cosine: { peak_lr, warmup_steps, total_steps, floor_lr },
      linear_decay: { peak_lr, total_steps, floor_lr },
      step_decay: { base_lr: peak_lr, milestones: [Math.floor(total_steps / 2), Math.floor((3 * total_steps) / 4)], factor: 0.1 },
      inverse_sqrt: { peak_lr, warmup_steps: Math.max(1, warmup_steps) },
      one_cycle: { peak_lr, total_steps, warmup_fraction: warmup_steps / total_steps },
      wsd: { peak_lr, warmup_steps, stable_steps: total_steps - warmup_steps - decay_steps, decay_steps, floor_lr },
      cyclic: { peak_lr, up_steps: Math.max(1, warmup_steps), floor_lr },
    }[name];
  }
  const ask = (name) => {
    const fixed = settings(name);
    return (step) => schedules[name](step, fixed);
  };
  function ownRate(step) {  // between two steps that were asked, the line between them
    const [steps, values] = [get("steps"), get("values")];
    const next = steps.findIndex((asked) => asked >= step);
    if (next < 0 || next >= values.length || values[next] === null) return NaN;
    if (steps[next] === step || next === 0) return values[next];
    const part = (step - steps[next - 1]) / (steps[next] - steps[next - 1]);
    return values[next - 1] === null ? NaN : values[next - 1] + part * (values[next] - values[next - 1]);
  }
  const rate = (step) => (own() ? ownRate(step) : ask(get("schedule"))(step));

  // What the eye sees: how far the axes reach, and how much of the change to another schedule is over.
  const shown = { right: 1, top: 1, turn: 0 };
  let turn = 0;
  let [before, current] = [null, get("schedule")];
  function goal(held) {
    if (held) return { ...shown, turn };
    const heights = own() ? get("values").filter((value) => value !== null && value < 1e6) : [];
    return { right: Math.log(1.16 * total()), top: Math.log(1.16 * (Math.max(...heights, named() ? peak() : 0) || 1)), turn };
  }
  const right = () => Math.exp(shown.right);
  const top = () => Math.exp(shown.top);
  const nice = (raw) => {
    const power = 10 ** Math.floor(Math.log10(raw));
    return power * [5, 2, 1].find((m) => m * power <= raw * 1.001);
  };
  const stepGrain = () => Math.max(1, nice(right() / 200));
  const rateGrain = () => nice(top() / 120);

  // ---- the page

  let x = scale([0, 1], [0, 1]);
  let y = x;
  const grid = svg("g", { class: "gdl-grid" });
  const area = svg("path", { class: "gdl-area" });
  const curve = svg("path", { class: "gdl-trail" });
  const mine = svg("path", { class: "gdl-trail" });
  const after = svg("rect", { class: "gdl-after" });
  const label = svg("g", {});
  const at = (event) => picture.at(event);
  const spots = {
    "warm-up": handle({ label: "warm-up", min: 0, max: total, step: stepGrain, value: warm, at,
      text: () => `${sig(warm())} steps`, from: ([px]) => x.back(px), onmove: (warmup_steps) => set({ warmup_steps }) }),
    total: handle({ label: "total", min: () => Math.max(2, stepGrain()), max: () => Math.floor(right()), step: stepGrain, value: total, at,
      text: () => `${fmtSteps(total())} steps`, from: ([px]) => x.back(px), onmove: (total_steps) => set({ total_steps }) }),
    peak: handle({ label: "peak", axis: "y", min: () => Math.max(floor(), rateGrain()), max: top, step: rateGrain, value: peak, at,
      text: () => `η = ${sig(peak())}`, from: ([, py]) => y.back(py), onmove: (peak_lr) => set({ peak_lr }) }),
    floor: handle({ label: "floor", axis: "y", min: 0, max: peak, step: rateGrain, value: floor, at,
      text: () => `η = ${sig(floor())}`, from: ([, py]) => y.back(py), onmove: (floor_lr) => set({ floor_lr }) }),
  };
  spots["warm-up"].dataset.main = "";
  const cursor = handle({ label: "step", thumb: false, min: 0, max: () => Math.floor(right()), step: stepGrain, value: () => get("step"), at,
    text: () => `step ${fmtSteps(get("step"))}, η = ${sig(rate(get("step")))}`,
    from: ([px]) => x.back(px), onmove: (step) => set({ step }) });
  const picture = canvas("The learning rate over the steps", [after, area, curve, mine], label, cursor, ...Object.values(spots));
  picture.prepend(grid);
  hovered(picture, ([px]) => {
    const step = Math.round(x.back(px));
    if (step >= 0 && step <= right()) set({ step });
  });
  const stage = html("div", { class: "gdl-stage gdl-pan" }, picture);
  const line = html("p", { class: "gdl-line" });
  const which = dropdown("schedule", Object.entries(scheduleForms).map(([name, [text]]) => [name, text]),
    (schedule) => set({ schedule }));
  const says = html("p", { class: "gdl-says" });
  const code = html("pre", { class: "gdl-code", tabindex: "0", "aria-label": "the same in Python" });
  const preset = button("", "Pre-training preset", () => set({ schedule: "warmup_cosine", warmup_steps: 2000,
    total_steps: 100000, peak_lr: 3e-4, floor_lr: 3e-5 }));
  const presetSays = html("p", { class: "gdl-note" }, "2,000 steps from 0 to 0.0003, then a cosine to ", together("3 × 10⁻⁵."));
  const root = frame({ stage, line, side: [which, says, code, preset, presetSays] });

  // ---- drawing

  function paint(width) {
    const height = clamp(Math.round(width * 0.6), 270, 380);
    const box = { left: 62, right: width - 24, top: 26, bottom: height - 50 };
    x = scale([0, right()], [box.left, box.right]);
    y = scale([0, top()], [box.bottom, box.top]);
    picture.cut(width, height, box, 3);
    drawAxes(grid, x, y, box, { across: width < 430 ? 4 : 6, xName: "step", yName: "learning rate η" });
    const points = [];
    if (named()) {
      const [now, old] = [ask(get("schedule")), before && ask(before)];
      const part = before ? clamp(1 - (turn - shown.turn), 0, 1) : 1;
      for (let px = box.left; px <= box.right; px += 1.5) {
        const step = x.back(px);
        points.push([px, y(part < 1 ? now(step) * part + old(step) * (1 - part) : now(step))]);
      }
    }
    curve.setAttribute("d", trace(points));
    curve.classList.toggle("gdl-quiet-line", own());
    const values = get("values");
    const ownPoints = own() ? values.map((value, i) => [x(get("steps")[i]), value === null ? NaN : clamp(y(value), -999, 9999)]) : [];
    mine.setAttribute("d", trace(ownPoints));
    const filled = own() ? [] : points;
    area.setAttribute("d", filled.length ? band(filled, [[box.left, box.bottom], [box.right, box.bottom]]) : "");
    build(after, { x: x(total()), y: 0, width: Math.max(0, box.right + 4 - x(total())), height }, []);
    const level = (value) => clamp(y(Number.isFinite(value) ? value : 0), box.top, box.bottom);
    const across = (step) => clamp(x(step), box.left, box.right);
    const used = ["total", ...(named() ? scheduleForms[get("schedule")][2] : [])];
    const frozen = own() && model.kernel === false;  // without a kernel nobody can ask a learner's own schedule again
    for (const name in spots) spots[name].style.display = used.includes(name) && !(frozen && name === "total") ? "" : "none";
    spots["warm-up"].place(across(warm()), level(rate(warm())), across(warm()), box.bottom);
    spots.total.place(across(total()), level(rate(total())), across(total()), box.bottom);
    spots.peak.place(across(warm()), level(peak()), box.right + 6, level(peak()));
    spots.floor.place(across(total()), level(floor()), box.right + 6, level(floor()));
    const step = get("step");
    const value = rate(step);
    const [px, py] = [across(step), level(value)];
    cursor.place(px, py);
    const text = [`step ${fmtSteps(step)}`, `η = ${sig(value)}`];
    const end = px + 14 + extent(text) > box.right;
    const lower = py - 36 < box.top;
    const called = (text, place, kind) => words(x(place * total()), level(text === "yours" ? ownRate(place * total()) : ask(get("schedule"))(place * total())) - 9, kind, "start", text);
    label.replaceChildren(...(own() && named() ? [called("yours", 0.08, "gdl-step-name"), called(scheduleForms[get("schedule")][0], 0.6, "gdl-quiet-name")] : []),
      stroke(px, box.bottom, px, py, "gdl-drop"),
      words(px + (end ? -14 : 14), py + (lower ? 34 : -26), "gdl-here", end ? "end" : "start", ...text));
  }

  // ---- numbers

  const fmtSteps = (step) => String(Math.round(step)).replace(/\B(?=(\d{3})+$)/g, ",");
  function write() {
    const name = get("schedule");
    if (name !== current) [before, current, turn] = [current, name, turn + 1];
    const step = get("step");
    const value = rate(step);
    root.dataset.values = JSON.stringify(Array.from({ length: 101 }, (_, i) => rate(Math.round((i * total()) / 100))));
    const say = [html("b", {}, `Step ${fmtSteps(step)}.`), " ", together(`η = ${sig(value)},`), " "];
    const highest = own() ? Math.max(...get("values").filter((one) => one !== null)) : peak();
    if (Number.isFinite(value) && highest > 0) say.push(together(`${fmt((100 * value) / highest, 1)} % of the peak,`), " ");
    const next = rate(step + Math.max(1, own() ? total() / 1000 : 1)) - value;
    say.push(together(step > total() ? "after the run." : next > 0 ? "rising." : next < 0 ? "falling." : "level."));
    if (get("trouble")) say.splice(0, say.length, html("b", { class: "gdl-trouble" }, get("trouble")));
    line.replaceChildren(...say);
    root.classList.toggle("gdl-wide", !named());
    for (const node of [which, says, code, preset, presetSays]) node.hidden = !named();
    which.set(name);
    says.textContent = scheduleForms[name][1];
    const plain = (setting) => (Array.isArray(setting) ? `[${setting.join(", ")}]` : String(Number(setting.toPrecision(6))));
    code.textContent = `${name}(step,\n${Object.entries(settings(name)).map(([key, one]) => `  ${key}=${plain(one)}`).join(",\n")})`;
  }

  return animate({
    model, el, root, stage, line, shown, goal, write, paint,
    watched: ["schedule", "peak_lr", "warmup_steps", "total_steps", "floor_lr", "step", "own", "beside", "steps", "values", "trouble"],
    duration: (next) => (next.turn !== shown.turn ? 450 : 250),
  });
}
