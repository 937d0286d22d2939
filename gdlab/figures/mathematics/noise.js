// Chance that comes out the same in every browser and in Python (gdlab/figures/noise.py): the same seed, the same numbers.

// Mulberry32 (Tommy Ettinger 2017): 32 bits of state, enough for pictures.
function seeded(seed) {
  let state = seed >>> 0;
  const uniform = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return {
    uniform,  // from 0 up to, not including, 1
    normal: () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()),  // Box and Muller
    permutation(n) {  // Fisher and Yates
      const order = Array.from({ length: n }, (_, i) => i);
      for (let last = n - 1; last > 0; last--) {
        const other = Math.floor(uniform() * (last + 1));
        [order[last], order[other]] = [order[other], order[last]];
      }
      return order;
    },
  };
}

// One shuffled epoch, cut into batches: gdlab.batching.epoch_batches.
function epochBatches(n, size, random, dropLast = false) {
  const order = random.permutation(n);
  const batches = [];
  for (let start = 0; start < (dropLast ? n - (n % size) : n); start += size) batches.push(order.slice(start, start + size));
  return batches;
}
