// Loss surfaces: the formulas of gdlab/objectives/surfaces.py. A θ is a number on a line, [x, y] on a plane.

const bowl = {
  loss: (theta) => (theta - 3) * (theta - 3) + 0.5,
  grad: (theta) => 2 * (theta - 3),
  start: -1,
  minimum: 3,
};

const doubleWell = {
  loss: (theta) => (theta * theta - 1) ** 2,
  grad: (theta) => 4 * theta * (theta * theta - 1),
  start: 0.1,
  minimum: 1,
  others: [-1],
  flat: [0],
};

const ravine = {
  loss: ([x, y]) => 0.1 * x * x + 2 * y * y,
  grad: ([x, y]) => [0.2 * x, 4 * y],
  start: [-5, -2],
  minimum: [0, 0],
};

const saddle = {
  loss: ([x, y]) => 0.5 * x * x - 0.5 * y * y + 0.25 * y ** 4,
  grad: ([x, y]) => [x, y ** 3 - y],
  start: [2, 1e-3],
  minimum: [0, 1],
  others: [[0, -1]],
  flat: [[0, 0]],
};

const rosenbrock = {
  loss: ([x, y]) => (1 - x) ** 2 + 100 * (y - x * x) ** 2,
  grad: ([x, y]) => [-2 * (1 - x) - 400 * x * (y - x * x), 200 * (y - x * x)],
  start: [-1.2, 1],
  minimum: [1, 1],
};

const bealeTerms = ([x, y]) => [[1.5, 1], [2.25, 2], [2.625, 3]].map(([c, k]) => [c - x + x * y ** k, k]);
const beale = {
  loss: (theta) => bealeTerms(theta).reduce((sum, [r]) => sum + r * r, 0),
  grad: (theta) => bealeTerms(theta).reduce(([gx, gy], [r, k]) =>
    [gx + 2 * r * (theta[1] ** k - 1), gy + 2 * r * k * theta[0] * theta[1] ** (k - 1)], [0, 0]),
  start: [1, 1.5],
  minimum: [3, 0.5],
  flat: [[0, 1]],
};

const himmelblau = {
  loss: ([x, y]) => (x * x + y - 11) ** 2 + (x + y * y - 7) ** 2,
  grad([x, y]) {
    const [a, b] = [x * x + y - 11, x + y * y - 7];
    return [4 * x * a + 2 * b, 2 * a + 4 * y * b];
  },
  start: [0, 0],
  minimum: [3, 2],
  others: [[-2.805118086952745, 3.131312518250573], [-3.779310253377747, -3.28318599128617],
    [3.584428340330492, -1.848126526964404]],
};

const objectives = { bowl, double_well: doubleWell, ravine, saddle, rosenbrock, beale, himmelblau };
