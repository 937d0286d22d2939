// Schedules: the formulas of gdlab/schedules.py, (step, settings) -> learning rate, with its names and defaults.

const progress = (step, length) => (length > 0 ? Math.min(Math.max(step, 0), length) / length : 1);
const blend = (low, high, share) => Math.min(high, Math.max(low, (1 - share) * low + share * high));
const halfWave = (part) => 0.5 * (1 + Math.cos(Math.PI * part));

const schedules = {
  constant: (step, { base_lr }) => base_lr,

  linear_warmup: (step, { peak_lr, warmup_steps, start_lr = 0 }) => blend(start_lr, peak_lr, progress(step, warmup_steps)),

  cosine_decay: (step, { peak_lr, total_steps, floor_lr = 0 }) =>
    blend(floor_lr, peak_lr, halfWave(progress(step, total_steps))),

  linear_decay: (step, { peak_lr, total_steps, floor_lr = 0 }) =>
    blend(floor_lr, peak_lr, 1 - progress(step, total_steps)),

  polynomial_decay: (step, { peak_lr, total_steps, power, floor_lr = 0 }) =>
    blend(floor_lr, peak_lr, (1 - progress(step, total_steps)) ** power),

  warmup_cosine: (step, { peak_lr, warmup_steps, total_steps, start_lr = 0, floor_lr = 0 }) =>
    step < warmup_steps
      ? schedules.linear_warmup(step, { peak_lr, warmup_steps, start_lr })
      : schedules.cosine_decay(step - warmup_steps, { peak_lr, total_steps: total_steps - warmup_steps, floor_lr }),

  wsd: (step, { peak_lr, warmup_steps, stable_steps, decay_steps, floor_lr = 0 }) =>
    step < warmup_steps + stable_steps
      ? schedules.linear_warmup(step, { peak_lr, warmup_steps })
      : schedules.linear_decay(step - warmup_steps - stable_steps, { peak_lr, total_steps: decay_steps, floor_lr }),

  one_cycle(step, { peak_lr, total_steps, warmup_fraction = 0.3, start_divisor = 25, end_divisor = 1e4 }) {
    const [start, top] = [peak_lr / start_divisor, warmup_fraction * total_steps];
    return step < top
      ? blend(start, peak_lr, 1 - halfWave(progress(step, top)))
      : blend(start / end_divisor, peak_lr, halfWave(progress(step - top, total_steps - top)));
  },

  step_decay: (step, { base_lr, milestones, factor }) => base_lr * factor ** milestones.filter((mark) => mark <= step).length,

  exponential_decay: (step, { base_lr, factor, every = 1 }) => base_lr * factor ** (step / every),

  inverse_time: (step, { base_lr, decay }) => base_lr / (1 + decay * step),

  inverse_sqrt: (step, { peak_lr, warmup_steps }) =>
    peak_lr * Math.min(step / warmup_steps, Math.sqrt(warmup_steps / Math.max(step, warmup_steps))),

  cyclic(step, { peak_lr, up_steps, down_steps = null, floor_lr = 0, shrink = 1 }) {
    const down = down_steps ?? up_steps;  // Python's None arrives as null
    const cycle = Math.floor(step / (up_steps + down));
    const place = step - cycle * (up_steps + down);
    return blend(floor_lr, peak_lr, (place < up_steps ? place / up_steps : 1 - (place - up_steps) / down) * shrink ** cycle);
  },

  cosine_restarts(step, { peak_lr, first_cycle, growth = 1, floor_lr = 0 }) {
    let length = first_cycle;
    let place = growth === 1 ? step % length : step;
    while (place >= length) {
      place -= length;
      length *= growth;
    }
    return blend(floor_lr, peak_lr, halfWave(place / length));
  },
};
