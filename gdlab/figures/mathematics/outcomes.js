// What becomes of a walk between two wells: gdlab/figures/basins.py, with its limits.

const endings = ["left", "right", "ridge", "bouncing", "diverged"];
const isFar = (number) => !(Math.abs(number) <= 10);  // "not a number" too

// The normal numbers of a seed's noise: for each step one a coordinate.
function kicksOf(seed, steps, coordinates) {
  const chance = seeded(seed);
  return Array.from({ length: steps }, () => Array.from({ length: coordinates }, chance.normal));
}

// θ₀ … θ_steps with gradients ∇L + noise·normal, or until the walk is lost. Points are [θ] on a line, [x, y] on a plane.
function noisyPath(rule, grad, start, lr, steps, noise, kicks) {
  const pushed = (theta, step) =>
    [].concat(grad(theta.length > 1 ? theta : theta[0])).map((slope, i) => slope + (noise ? noise * kicks[step][i] : 0));
  const { path } = walk(rule, pushed, start, lr, steps);
  const lost = path.findIndex((point, step) => step && point.some(isFar));
  return lost < 0 ? path : path.slice(0, lost + 1);
}

// Where a walk across the ridge ends once the noise stops: the ending's place in the list. `kicks` are numbers.
function wellEnding(rule, slope, theta, lr, noise = 0, kicks = []) {
  let [state, hop, end] = [rule.remembers.map(() => 0), 0, theta];
  for (let step = 0; step < kicks.length + 200; step++) {
    const moved = rule.direct(theta, slope(theta) + (step < kicks.length ? noise * kicks[step] : 0), state, step);
    const next = theta - lr * moved[0];
    if (next === theta && !rule.average) break;  // here it stays
    if (moved.length > 1) state = moved.slice(1);
    theta = next;
    const before = end;
    end = rule.average ? rule.average(theta, state[0], lr) : theta;
    if (isFar(end)) return 4;
    if (step >= kicks.length + 190) hop = Math.max(hop, Math.abs(end - before));
  }
  return hop > 0.01 ? 3 : Math.abs(end) < 0.1 ? 2 : end > 0 ? 1 : 0;
}
