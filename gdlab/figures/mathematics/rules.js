// Update rules: the formulas of gdlab/rules.py, with its names and defaults, and the settings that figures know. For one parameter
// (theta, grad, state, step) -> [direction, ...new state]; `remembers` names the parts of the state. Where the walk
// is judged by an average, `average` makes it of a θ; where all directions count together, `jointly` turns them.

const gradientDescent = () => ({ remembers: [], direct: (theta, g) => [g] });

// What schedule-free rules share: the direction of y when z takes a step, and the new u = (z − x)/η.
function averagedMove(beta, ahead, push, step) {
  const next = ahead - push;
  const kept = next - next / (step + 1);
  return [(1 - beta) * (ahead - kept) - (next - kept), kept];
}
const averageOf = (beta) => (theta, ahead, lr) => theta - lr * (1 - beta) * ahead;

const scheduleFreeSgd = ({ beta = 0.9 } = {}) => ({
  remembers: ["ahead"],
  average: averageOf(beta),
  direct: (theta, g, [ahead], step) => averagedMove(beta, ahead, g, step),
});

const scheduleFreeAdamw = ({ beta1 = 0.9, beta2 = 0.999, eps = 1e-8 } = {}) => ({
  remembers: ["ahead", "v"],
  average: averageOf(beta1),
  direct(theta, g, [ahead, v], step) {
    v = beta2 * v + (1 - beta2) * g * g;
    const push = g / (Math.sqrt(v / (1 - beta2 ** (step + 1))) + eps);
    const moved = averagedMove(beta1, ahead, push, step);
    return [moved[0], moved[1], v];  // a spread takes thrice as long
  },
});

// A matrix of one row, orthogonalized: the Newton–Schulz iteration changes nothing but its length.
function orthogonalRow(row) {
  const length = Math.hypot(...row);
  let factor = 1 / Math.max(length, 1e-7);
  for (let left = 5; left > 0; left--) {
    const square = (length * factor) ** 2;
    factor *= 3.4445 + square * (2.0315 * square - 4.775);
  }
  return row.map((number) => number * factor);
}

const rules = {
  gradient_descent: gradientDescent,

  momentum: ({ momentum = 0.9 } = {}) => ({
    remembers: ["velocity"],
    direct(theta, g, [velocity]) {
      velocity = momentum * velocity + g;
      return [velocity, velocity];
    },
  }),

  nesterov: ({ momentum = 0.9 } = {}) => ({
    remembers: ["velocity"],
    direct(theta, g, [velocity]) {
      velocity = momentum * velocity + g;
      return [g + momentum * velocity, velocity];
    },
  }),

  adagrad: ({ eps = 1e-10 } = {}) => ({
    remembers: ["sum_sq"],
    direct(theta, g, [sum]) {
      sum += g * g;
      return [g / (Math.sqrt(sum) + eps), sum];
    },
  }),

  rmsprop: ({ decay = 0.99, eps = 1e-8 } = {}) => ({
    remembers: ["square_avg"],
    direct(theta, g, [square]) {
      square = decay * square + (1 - decay) * g * g;
      return [g / (Math.sqrt(square) + eps), square];
    },
  }),

  adam: ({ beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0 } = {}) => ({
    remembers: ["m", "v"],
    direct(theta, g, [m, v], step) {
      m = beta1 * m + (1 - beta1) * g;
      v = beta2 * v + (1 - beta2) * g * g;
      const [first, second] = [m / (1 - beta1 ** (step + 1)), v / (1 - beta2 ** (step + 1))];
      return [first / (Math.sqrt(second) + eps) + weight_decay * theta, m, v];
    },
  }),

  adamw: (settings = {}) => rules.adam({ weight_decay: 0.01, ...settings }),

  lion: ({ beta1 = 0.9, beta2 = 0.99, weight_decay = 0 } = {}) => ({
    remembers: ["m"],
    direct: (theta, g, [m]) =>
      [Math.sign(beta1 * m + (1 - beta1) * g) + weight_decay * theta, beta2 * m + (1 - beta2) * g],
  }),

  // For matrices: θ counts as one of a single row.
  muon: ({ momentum = 0.95, weight_decay = 0.1 } = {}) => ({
    remembers: ["m"],
    direct(theta, g, [m]) {
      m = momentum * m + (1 - momentum) * g;
      return [momentum * m + (1 - momentum) * g, m];
    },
    jointly: (row, theta) => orthogonalRow(row).map((turned, i) => turned + weight_decay * theta[i]),
  }),

  schedule_free_sgd: scheduleFreeSgd,
  schedule_free_adamw: scheduleFreeAdamw,
};

// A walk on a line or a plane, θ = [x] or [x, y], under a rule: { path, thetas, states }. Gradients are taken at `thetas`; `path` are the points that
// count, for a rule that averages the averages. states[k] is what is remembered after k steps: for each name in
// rule.remembers an array of θ's form.
function walk(rule, grad, theta, lr, steps) {
  let state = rule.remembers.map(() => theta.map(() => 0));
  const [path, thetas, states] = [[theta], [theta], [state]];
  for (let step = 0; step < steps; step++) {
    const g = grad(theta, step);
    const moved = theta.map((value, i) => rule.direct(value, g[i], state.map((part) => part[i]), step));
    const each = moved.map(([direction]) => direction);
    const directions = rule.jointly ? rule.jointly(each, theta) : each;
    theta = theta.map((value, i) => value - lr * directions[i]);
    state = state.map((_, part) => moved.map((one) => one[part + 1]));
    thetas.push(theta);
    states.push(state);
    path.push(rule.average ? theta.map((value, i) => rule.average(value, state[0][i], lr)) : theta);
  }
  return { path, thetas, states };
}

// θ₀ … θ_steps of gradient descent; sign −1 goes against the slope, +1 with it.
function descend(grad, theta, lr, steps, sign = -1) {
  const path = [theta];
  for (let step = 0; step < steps; step++) path.push(path[step] + sign * lr * grad(path[step]));
  return path;
}
