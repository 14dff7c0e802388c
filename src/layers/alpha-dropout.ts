import { checkFinite, checkNumber, fail, show } from "../core/errors.js";
import { failBeforeForward, Layer } from "../core/layer.js";
import { heap8, scratch, withScratch } from "../core/memory.js";
import { DATA, kernelsOf } from "../core/parts.js";
import { keepElements, readSeed, type Seed } from "../core/random.js";
import { square } from "../core/special.js";
import { stream } from "../core/stream.js";
import { type Operand, readAlike, readTensor, Target, type Tensor, type TensorLike } from "../core/tensor.js";
import { readConstants } from "./selu.js";

/** Which elements are kept: 1 or 0 (or booleans), one for each element of x. */
export type KeepLike = Uint8Array | readonly (number | boolean)[] | { readonly data: ArrayLike<number> };

export interface AlphaDropoutOptions {
  /** Share of elements that are dropped, from 0 to below 1; 0.05 to 0.1 in the paper. */
  rate: number;
  /** The elements to keep. Or give a seed. */
  keep?: KeepLike;
  /** Of the random choice: the same seed drops the same elements, on every machine. */
  seed?: number;
  /** The choice that this call makes of the seed's: give each call another. Default 0. */
  call?: number;
  /** Mean and variance of x, which y has too. Default 0 and 1. */
  mean?: number;
  variance?: number;
  /** Constants of the SELU before, whose limit −lambda·alpha dropped elements take. Default those of `selu`. */
  alpha?: number;
  lambda?: number;
  /** Where to write y; may be x. Default: a new heap array. */
  out?: TensorLike;
}

/** Where the choice comes from: it is made again, rather than kept. */
interface Choice {
  keep: Uint8Array | null;
  seed: Seed;
  call: number;
  rate: number;
}

export interface AlphaDropoutSaved {
  /** @internal */
  readonly like: Pick<Operand, "shape" | "dtype">;
  /** @internal */
  readonly choice: Choice;
  /** The factor of kept elements. */
  readonly scale: number;
}

function readChoice(method: string, options: AlphaDropoutOptions, length: number): Choice {
  const rate = checkNumber(method, "rate", options.rate, 0);
  if (rate >= 1) fail(method, `rate must be below 1, the share of elements that are dropped, got ${rate}`);
  const { keep, seed, call = 0 } = options;
  if (!Number.isSafeInteger(call) || call < 0)
    fail(method, `call must be a whole number of at least 0, got ${show(call)}`);
  if (keep === undefined || keep === null) {
    if (seed === undefined) fail(method, "keep or seed must be given; pass a seed, and another call with each call");
    return { keep: null, seed: readSeed(method, seed), call, rate };
  }
  const values = "data" in keep ? keep.data : (keep as ArrayLike<number | boolean>);
  if (values?.length !== length) {
    fail(method, `keep has ${values?.length ?? "no"} elements where ${length} are needed, one for each of x`);
  }
  return { keep: Uint8Array.from({ length }, (_, i) => (values[i] ? 1 : 0)), seed: { low: 0, high: 0 }, call, rate };
}

/** y = scale·x + shift where kept, else other. */
function choose(y: Target, x: Operand, choice: Choice, scale: number, shift: number, other: number): void {
  const k = kernelsOf(DATA, x.dtype);
  const { keep, seed, call, rate } = choice;
  if (keep === null) {
    keepElements(y, x, { rate, seed, number: call }, { scale, shift, other });
    return;
  }
  // Chunks of a fixed size keep the mask short for tensors in linear memory too.
  stream({ rows: 1, n: x.length, cut: 1, fixed: true }, [x], [y], ([from, to], { offset, n }) => {
    withScratch(() => {
      const mask = scratch(n);
      heap8().set(keep.subarray(offset, offset + n), mask);
      k.eachChoose(to, from, mask, n, scale, shift, other);
    });
  });
}

function forwardAs(
  method: string,
  x: TensorLike,
  options: AlphaDropoutOptions,
): { y: Tensor; saved: AlphaDropoutSaved } {
  const operand = readTensor(method, "x", x);
  const choice = readChoice(method, options, operand.length);
  const { mean = 0 } = options;
  checkFinite(method, "mean", mean);
  const variance = checkNumber(method, "variance", options.variance ?? 1, 0, true);
  const { alpha, lambda } = readConstants(method, options);
  const y = new Target(method, options.out, operand, [operand]);
  const low = -lambda * alpha;
  const kept = 1 - choice.rate;
  const scale = Math.sqrt(variance / (kept * (choice.rate * square(low - mean) + variance)));
  const shift = mean - scale * (kept * mean + choice.rate * low);
  choose(y, operand, choice, scale, shift, scale * low + shift);
  return { y: y.result, saved: { like: { shape: operand.shape, dtype: operand.dtype }, choice, scale } };
}

function backwardAs(
  method: string,
  dy: TensorLike,
  saved: AlphaDropoutSaved,
  out: TensorLike | undefined,
): { dx: Tensor } {
  if (saved === undefined) failBeforeForward(method);
  const gradient = readAlike(method, "dy", dy, { name: "x", ...saved.like });
  const dx = new Target(method, out, gradient, [gradient]);
  choose(dx, gradient, saved.choice, saved.scale, 0, 0);
  return { dx: dx.result };
}

/**
 * Dropout for self-normalizing networks: dropped elements take the value that SELU tends to, and the result keeps the
 * mean and variance of x.
 *
 * y = a·x + b for kept elements, a·low + b for dropped ones, with low = −lambda·alpha, q = 1 − rate,
 * a = √(variance/(q·(rate·(low − mean)² + variance))) and b = mean − a·(q·mean + rate·low).
 *
 * x is a tensor of any shape, f32 or f64; y has the shape of x. The choice of a seed is the same on every machine
 * (Philox4x32). Throws where rate is not in [0, 1), neither keep nor seed is given, or keep has another length.
 *
 * Source: G. Klambauer, T. Unterthiner, A. Mayr, S. Hochreiter, "Self-Normalizing Neural Networks", 2017,
 * arXiv:1706.02515, section "New Dropout Technique".
 *
 * @example
 * const x = { data: new Float32Array(8), shape: [8] };
 * const y = alphaDropout(x, { rate: 0.1, seed: 1, call: 0 });
 */
export function alphaDropout(x: TensorLike, options: AlphaDropoutOptions): Tensor {
  return forwardAs("alphaDropout", x, options).y;
}

/** `alphaDropout` that also returns what `alphaDropoutBackward` needs. */
export function alphaDropoutForward(
  x: TensorLike,
  options: AlphaDropoutOptions,
): { y: Tensor; saved: AlphaDropoutSaved } {
  return forwardAs("alphaDropoutForward", x, options);
}

/**
 * The gradient of `alphaDropout`: dx = a·dy for kept elements, 0 for dropped ones.
 *
 * @example
 * const { y, saved } = alphaDropoutForward(x, { rate: 0.1, seed: 1 });
 * const { dx } = alphaDropoutBackward(dy, saved);
 */
export function alphaDropoutBackward(
  dy: TensorLike,
  saved: AlphaDropoutSaved,
  options: { out?: TensorLike } = {},
): { dx: Tensor } {
  return backwardAs("alphaDropoutBackward", dy, saved, options.out);
}

export interface AlphaDropoutConfig {
  /** Share of elements that are dropped. */
  rate: number;
  /** Of the random choice. Default 0. */
  seed?: number;
}

/**
 * `alphaDropout` as a layer: each forward pass makes another choice of its seed; in eval mode x stays as it is.
 *
 * @example
 * const dropout = new AlphaDropout({ rate: 0.1, seed: 7 });
 * const y = dropout.forward(x);
 * const dx = dropout.backward(dy);
 */
export class AlphaDropout extends Layer {
  readonly weight = null;
  readonly bias = null;
  readonly rate: number;
  readonly seed: number;
  /** Forward passes that made a choice so far; set it to 0 to start over. */
  calls = 0;
  #saved: AlphaDropoutSaved | undefined;

  constructor({ rate, seed = 0 }: AlphaDropoutConfig) {
    super();
    readChoice("AlphaDropout", { rate, seed }, 0);
    this.rate = rate;
    this.seed = seed;
  }

  forward(x: TensorLike, options: { out?: TensorLike } = {}): Tensor {
    const { seed, calls, mode, rate } = this;
    const all = { rate: mode === "eval" ? 0 : rate, seed, call: calls, out: options.out };
    const { y, saved } = forwardAs("AlphaDropout.forward", x, all);
    if (mode !== "eval") this.calls++;
    this.#saved = saved;
    return y;
  }

  /** dx of the last forward. */
  backward(dy: TensorLike, options: { out?: TensorLike } = {}): Tensor {
    return backwardAs("AlphaDropout.backward", dy, this.#saved as AlphaDropoutSaved, options.out).dx;
  }
}
