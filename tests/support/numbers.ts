/** Data, references and differences that the tests share. */
import type { TypedArray } from "../../src/index.js";

/** Uniform pseudo-random numbers in [-1, 1) from a seed (mulberry32). */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2147483648 - 1;
  };
}

export function values(length: number, seed: number, offset = 0, scale = 1): Float64Array {
  const next = random(seed);
  return Float64Array.from({ length }, () => offset + scale * next());
}

export function tensorOf(
  shape: number[],
  seed: number,
  dtype: "float32" | "float64" = "float64",
  offset = 0,
  scale = 1,
) {
  const data = values(
    shape.reduce((a, b) => a * b, 1),
    seed,
    offset,
    scale,
  );
  return { data: dtype === "float64" ? data : Float32Array.from(data), shape };
}

export function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) throw new Error(`lengths ${a.length} and ${b.length}`);
  let largest = 0;
  for (let i = 0; i < a.length; i++) {
    const difference = Math.abs(a[i] - b[i]);
    if (!(difference <= largest)) largest = difference;
  }
  return largest;
}

/** The bits of an array, to compare results that must be the same to the last one. */
export function bits(array: TypedArray): string {
  return Buffer.from(array.buffer, array.byteOffset, array.byteLength).toString("base64");
}

/**
 * The largest relative disagreement of a gradient with central differences of `loss`, which depends on `x`: each element
 * (at most `most`, evenly spread) is moved by h either way; differences are taken against the largest gradient.
 */
export function differenceFromNumerical(
  loss: () => number,
  x: Float64Array,
  gradient: ArrayLike<number>,
  { h = 1e-5, most = 40 } = {},
): number {
  const step = Math.max(1, Math.floor(x.length / most));
  let size = 1e-3;
  for (let i = 0; i < x.length; i++) size = Math.max(size, Math.abs(gradient[i]));
  let largest = 0;
  for (let i = 0; i < x.length; i += step) {
    const kept = x[i];
    x[i] = kept + h;
    const above = loss();
    x[i] = kept - h;
    const below = loss();
    x[i] = kept;
    const difference = Math.abs((above - below) / (2 * h) - gradient[i]) / size;
    if (!(difference <= largest)) largest = difference;
  }
  return largest;
}

/** Σ y·dy, a loss whose gradient with respect to y is dy. */
export function dot(y: ArrayLike<number>, dy: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < dy.length; i++) sum += y[i] * dy[i];
  return sum;
}

/** [N, C, S] to [N, S, C]. */
export function channelsLast({ data, shape }: { data: TypedArray; shape: number[] }) {
  const [n, c, ...spatial] = shape;
  const s = data.length / (n * c);
  const moved = new (data.constructor as Float64ArrayConstructor)(data.length);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < c; j++) for (let k = 0; k < s; k++) moved[(i * s + k) * c + j] = data[(i * c + j) * s + k];
  }
  return { data: moved as TypedArray, shape: [n, ...spatial, c] };
}
