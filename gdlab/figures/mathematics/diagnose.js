// What gdlab.diagnose and gdlab.loop say of a row of losses, null where one is no number.

// The exponential average, corrected for its start (gdlab.diagnose.smooth); null from the first loss that is no number.
function smoothLosses(losses, beta) {
  let [average, broken] = [0, false];
  return losses.map((loss, i) => {
    broken ||= loss === null;
    average = beta * average + (1 - beta) * loss;
    return broken ? null : average / (1 - beta ** (i + 1));
  });
}

// [where patience runs out, the best until then], as places in the list (gdlab.loop.early_stop).
function earlyStop(losses, patience) {
  let [best, at] = [Infinity, 0];
  for (const [i, loss] of losses.entries()) {
    if (loss !== null && loss < best) [best, at] = [loss, i];
    else if (i - at >= patience) return [i, at];
  }
  return [losses.length - 1, at];
}

// Slopes over both neighbours, minding unequal gaps (numpy.gradient).
function slopesOf(xs, ys) {
  const between = (i) => (ys[i + 1] - ys[i]) / (xs[i + 1] - xs[i]);
  const last = xs.length - 1;
  return xs.map((x, i) => {
    if (i === 0) return between(0);
    if (i === last) return between(last - 1);
    const [left, right] = [x - xs[i - 1], xs[i + 1] - x];
    return (left * between(i) + right * between(i - 1)) / (left + right);
  });
}

// Points [rate, loss] -> slopes against ln η, and the rate where the loss falls fastest; null if it never falls.
function suggestRate(points) {
  const known = points.filter(([, loss]) => loss !== null);
  if (known.length < 2) return { known, slopes: [], suggested: null };
  const slopes = slopesOf(known.map(([lr]) => Math.log(lr)), known.map(([, loss]) => loss));
  const steepest = slopes.reduce((low, slope, i) => (slope < slopes[low] ? i : low), 0);
  return { known, slopes, suggested: slopes[steepest] < 0 ? known[steepest][0] : null };
}
