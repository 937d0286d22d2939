// Update rules: the formulas of gdlab/rules.py, with its names and defaults. Each makes, for one parameter,
// (theta, grad, state, step) -> [direction, ...new state]; `remembers` names the parts of the state.

const rules = {
  gradient_descent: () => ({ remembers: [], direct: (theta, g) => [g] }),

  momentum: ({ momentum = 0.9, dampening = 0 } = {}) => ({
    remembers: ["velocity"],
    direct(theta, g, [velocity], step) {
      velocity = momentum * velocity + (step > 0 ? 1 - dampening : 1) * g;
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

  adagrad: ({ eps = 1e-10, initial = 0 } = {}) => ({
    remembers: ["sum_sq"],
    start: initial,
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
};

// θ₀ … θ_steps under a rule, and the rule's memory after each step. θ is a number or an array; `lr` is a
// number or a function of the step; `grad` gets the step too, so that it may be a batch's.
// Returns { path, states }: states[k] has, for each name in rule.remembers, what was remembered of each parameter.
function walk(rule, grad, theta, lr, steps) {
  const line = !Array.isArray(theta);
  let at = [].concat(theta);
  let state = rule.remembers.map(() => at.map(() => rule.start || 0));
  const path = [theta];
  const states = [state];
  for (let step = 0; step < steps; step++) {
    const g = [].concat(grad(line ? at[0] : at, step));
    const rate = typeof lr === "function" ? lr(step) : lr;
    const moved = at.map((value, i) => rule.direct(value, g[i], state.map((part) => part[i]), step));
    at = at.map((value, i) => value - rate * moved[i][0]);
    state = state.map((_, part) => moved.map((one) => one[part + 1]));
    path.push(line ? at[0] : at);
    states.push(state);
  }
  return { path, states };
}

// θ₀ … θ_steps of gradient descent; sign −1 goes against the slope, +1 with it.
function descend(grad, theta, lr, steps, sign = -1) {
  const path = [theta];
  for (let step = 0; step < steps; step++) path.push(path[step] + sign * lr * grad(path[step]));
  return path;
}
