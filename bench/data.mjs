/** The inputs of the cases: the same numbers in every run. */

/** Uniform numbers in [0, 1), by a 32-bit generator (mulberry32). */
function generator(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let bits = Math.imul(state ^ (state >>> 15), state | 1);
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  };
}

export const elements = (shape) => shape.reduce((product, size) => product * size, 1);

/** Values drawn before they repeat: a period that no block and no cache comes near to. */
const PERIOD = 1 << 20;

/** An array filled with its first `period` elements over and over. */
function repeat(data, period) {
  for (let filled = period; filled < data.length; filled *= 2) data.copyWithin(filled, 0, filled);
  return data;
}

/** An f32 tensor on the heap with uniform values around `mean`, of deviation `deviation`. */
export function random(shape, { mean = 0, deviation = 1, seed = 1 } = {}) {
  const next = generator(seed);
  const width = deviation * Math.sqrt(12);
  const data = new Float32Array(elements(shape));
  const period = Math.min(data.length, PERIOD);
  for (let i = 0; i < period; i++) data[i] = mean + width * (next() - 0.5);
  return { data: repeat(data, period), shape };
}

/** Bytes, as those of pixels. */
export function bytes(length, seed = 1) {
  const next = generator(seed);
  return Uint8ClampedArray.from({ length }, () => 256 * next());
}

/** Data, the gradient that comes back, and parameters of `channels` elements, as every normalizer takes them. */
export function normInputs(shape, channels) {
  return {
    x: random(shape, { mean: 0.5, seed: 1 }),
    weight: random([channels], { mean: 1, deviation: 0.2, seed: 2 }),
    bias: random([channels], { deviation: 0.2, seed: 3 }),
  };
}
