// What becomes of a walk between two wells: gdlab/figures/basins.py, with its limits.

const endings = ["left", "right", "ridge", "bouncing", "diverged"];
const isFar = (number) => !(Math.abs(number) <= 10);  // "not a number" too

// The normal numbers of a seed's noise: for each step one a coordinate.
function kicksOf(seed, steps, coordinates) {
  const chance = seeded(seed);
  return Array.from({ length: steps }, () => Array.from({ length: coordinates }, chance.normal));
}

// θ₀ … θ_steps with gradients ∇L + noise·normal, or until the walk is lost. Points are [θ] on a line, [x, y] on a plane.
function noisyPath(grad, start, lr, steps, noise, kicks) {
  const path = [start];
  for (let step = 0; step < steps && !(step && path[step].some(isFar)); step++) {
    const at = path[step];
    const slopes = [].concat(grad(at.length > 1 ? at : at[0]));
    path.push(at.map((number, i) => number - lr * (slopes[i] + (noise ? noise * kicks[step][i] : 0))));
  }
  return path;
}

// Where a walk on the double well ends once the noise stops: the ending's place in the list. `kicks` are numbers.
function wellEnding(theta, lr, noise = 0, kicks = []) {
  for (let step = 0; noise && step < kicks.length; step++) {
    theta -= lr * (doubleWell.grad(theta) + noise * kicks[step]);
    if (isFar(theta)) return 4;
  }
  let hop = 0;
  for (let left = 200; left > 0 && !isFar(theta); left--) {
    const next = theta - lr * doubleWell.grad(theta);
    if (next === theta) break;  // here it stays
    if (left <= 10) hop = Math.max(hop, Math.abs(next - theta));
    theta = next;
  }
  return isFar(theta) ? 4 : hop > 0.01 ? 3 : Math.abs(theta) < 0.1 ? 2 : theta > 0 ? 1 : 0;
}
