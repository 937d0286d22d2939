// Contour lines of a loss over the plane, as paths: marching squares on a grid of small cells.

// `count` levels from low to high; the closer together at the bottom, the larger `power` is.
const levelsBetween = (low, high, count, power = 2) =>
  Array.from({ length: count }, (_, i) => low + (high - low) * ((i + 1) / count) ** power);

// For each level the path along which loss([x, y]) has it, inside `box`, in the pixels of the scales x and y.
function contourPaths(loss, x, y, box, levels, cell = 6) {
  const columns = Math.max(1, Math.ceil((box.right - box.left) / cell));
  const rows = Math.max(1, Math.ceil((box.bottom - box.top) / cell));
  const px = Array.from({ length: columns + 1 }, (_, i) => box.left + (i * (box.right - box.left)) / columns);
  const py = Array.from({ length: rows + 1 }, (_, j) => box.top + (j * (box.bottom - box.top)) / rows);
  const heights = py.map((down) => px.map((across) => loss([x.back(across), y.back(down)])));
  return levels.map((level) => {
    let d = "";
    for (let j = 0; j < rows; j++) {
      for (let i = 0; i < columns; i++) {
        // Corners clockwise from the upper left; the line crosses each edge whose ends lie on its two sides.
        const corners = [[i, j], [i + 1, j], [i + 1, j + 1], [i, j + 1]];
        const crossed = [];
        for (let edge = 0; edge < 4; edge++) {
          const [[ai, aj], [bi, bj]] = [corners[edge], corners[(edge + 1) % 4]];
          const [a, b] = [heights[aj][ai] - level, heights[bj][bi] - level];
          if (a < 0 === b < 0) continue;
          const part = a / (a - b);
          crossed.push([px[ai] + part * (px[bi] - px[ai]), py[aj] + part * (py[bj] - py[aj])]);
        }
        for (let k = 0; k + 1 < crossed.length; k += 2) d += trace(crossed.slice(k, k + 2));
      }
    }
    return d;
  });
}
