import { checkCount, checkNumber } from "../core/errors.js";
import { type Geometry, geometryOf, type Layout } from "../core/geometry.js";
import type { TypedKernels } from "../core/instance.js";
import type { FunctionsKernels } from "../core/kernels.generated.js";
import { keepInput, Layer, type Saved, savedInput } from "../core/layer.js";
import { elementBytes, scratch, withScratch } from "../core/memory.js";
import { FUNCTIONS, kernelsOf } from "../core/parts.js";
import { stream } from "../core/stream.js";
import { type Operand, readAlike, readTensor, Target, type Tensor, type TensorLike } from "../core/tensor.js";

export interface LocalResponseNormOptions {
  /** Channels in the window; of an even number, one more lies before the channel than after it. */
  size: number;
  /** Factor of the mean square. Default 1e-4. */
  alpha?: number;
  /** Exponent. Default 0.75. */
  beta?: number;
  /** Summand. Default 1. */
  k?: number;
  /** Default "channels-first". */
  layout?: Layout;
  /** Where to write y; may be x. Default: a new heap array. */
  out?: TensorLike;
}

export interface LocalResponseNormSaved extends Saved {
  /** @internal */
  readonly options: Omit<LocalResponseNormOptions, "out">;
}

/** How the windows lie, and the coefficients: y = x·(k + share·Σ x²)^−beta. */
interface Setting {
  geometry: Geometry;
  before: number;
  after: number;
  k: number;
  share: number;
  beta: number;
}

function settingOf(method: string, x: Operand, options: LocalResponseNormOptions): Setting {
  const geometry = geometryOf(method, x, options.layout);
  const size = checkCount(method, "size", options.size);
  const alpha = checkNumber(method, "alpha", options.alpha ?? 1e-4, 0);
  const beta = checkNumber(method, "beta", options.beta ?? 0.75, 0);
  const k = checkNumber(method, "k", options.k ?? 1, 0);
  return { geometry, before: size >> 1, after: (size - 1) >> 1, k, share: alpha / size, beta };
}

/** Sums over the channels around each channel, of a sample [C, S] or [S, C]. */
function windowOver(
  kernel: TypedKernels<FunctionsKernels>,
  { geometry: { c, s, order } }: Setting,
  squares: boolean,
  out: number,
  x: number,
  before: number,
  after: number,
): void {
  if (order === "rows") (squares ? kernel.colWindowSquares : kernel.colWindowSum)(out, x, c, s, before, after);
  else (squares ? kernel.rowWindowSquares : kernel.rowWindowSum)(out, x, s, c, before, after);
}

function forwardAs(method: string, x: TensorLike, options: LocalResponseNormOptions) {
  const operand = readTensor(method, "x", x);
  const setting = settingOf(method, operand, options);
  const { geometry, before, after, k, share, beta } = setting;
  const y = new Target(method, options.out, operand, [operand]);
  const kernel = kernelsOf(FUNCTIONS, operand.dtype);
  const sample = geometry.c * geometry.s;
  withScratch(() => {
    const sums = scratch(sample * elementBytes(operand.dtype));
    stream({ rows: geometry.n, n: sample }, [operand], [y], ([from, to], { rows }) => {
      for (let r = 0; r < rows; r++) {
        const skip = r * sample * elementBytes(operand.dtype);
        windowOver(kernel, setting, true, sums, from + skip, before, after);
        kernel.eachTimesPower(to + skip, from + skip, sums, sample, k, share, -beta);
      }
    });
  });
  return { y: y.result, saved: { x: keepInput(x, operand, y), options } };
}

function backwardAs(
  method: string,
  dy: TensorLike,
  saved: LocalResponseNormSaved,
  out: TensorLike | undefined,
): { dx: Tensor } {
  const x = savedInput(method, saved);
  const gradient = readAlike(method, "dy", dy, x);
  const setting = settingOf(method, x, saved.options);
  const { geometry, before, after, k, share, beta } = setting;
  const dx = new Target(method, out, x, [x, gradient]);
  const kernel = kernelsOf(FUNCTIONS, x.dtype);
  const width = elementBytes(x.dtype);
  const sample = geometry.c * geometry.s;
  withScratch(() => {
    const [sums, powers, products, spread] = [1, 2, 3, 4].map(() => scratch(sample * width));
    stream({ rows: geometry.n, n: sample }, [gradient, x], [dx], ([g, from, to], { rows }) => {
      for (let r = 0; r < rows; r++) {
        const skip = r * sample * width;
        windowOver(kernel, setting, true, sums, from + skip, before, after);
        kernel.eachPower(powers, sums, sample, k, share, -beta);
        kernel.eachProductOver(products, g + skip, from + skip, powers, sums, sample, k, share);
        windowOver(kernel, setting, false, spread, products, after, before);
        kernel.eachDifferenceOfProducts(to + skip, g + skip, powers, from + skip, spread, sample, 2 * share * beta);
      }
    });
  });
  return { dx: dx.result };
}

/**
 * Local response normalization: each value is divided by a power of the mean square of its neighbours in other channels at
 * the same position.
 *
 * y = x/(k + alpha·mean(x²))^beta, the mean over `size` channels around the channel (zeros beyond the ends).
 *
 * x is `[N, C, ...spatial]` or, with `layout: "channels-last"`, `[N, ...spatial, C]`, f32 or f64. The convention is
 * PyTorch's and ONNX's: alpha is divided by size. Krizhevsky's (k = 2, size 5, alpha 1e-4, beta 0.75) and TensorFlow's
 * (depthRadius, where size = 2·depthRadius + 1) do not divide: pass alpha·size. Throws where size is below 1.
 *
 * Source: A. Krizhevsky, I. Sutskever, G. E. Hinton, "ImageNet Classification with Deep Convolutional Neural Networks",
 * 2012, section 3.3.
 *
 * @example
 * const y = localResponseNorm(images, { size: 5 });
 */
export function localResponseNorm(x: TensorLike, options: LocalResponseNormOptions): Tensor {
  return forwardAs("localResponseNorm", x, options).y;
}

/** `localResponseNorm` that also returns what `localResponseNormBackward` needs. */
export function localResponseNormForward(
  x: TensorLike,
  options: LocalResponseNormOptions,
): { y: Tensor; saved: LocalResponseNormSaved } {
  return forwardAs("localResponseNormForward", x, options);
}

/**
 * The gradient of local response normalization.
 *
 * With D = k + alpha/size·Σx²: dx = dy·D^−beta − 2·alpha·beta/size·x·Σ(dy·x·D^(−beta − 1)), the sum over the channels
 * whose window holds this one.
 *
 * @example
 * const { y, saved } = localResponseNormForward(images, { size: 5 });
 * const { dx } = localResponseNormBackward(dimages, saved);
 */
export function localResponseNormBackward(
  dy: TensorLike,
  saved: LocalResponseNormSaved,
  options: { out?: TensorLike } = {},
): { dx: Tensor } {
  return backwardAs("localResponseNormBackward", dy, saved, options.out);
}

/**
 * Local response normalization as a layer, without parameters.
 *
 * @example
 * const norm = new LocalResponseNorm({ size: 5 });
 * const y = norm.forward(images);
 * const dx = norm.backward(dimages);
 */
export class LocalResponseNorm extends Layer {
  readonly weight = null;
  readonly bias = null;
  readonly #options: Omit<LocalResponseNormOptions, "out">;
  #saved: LocalResponseNormSaved | undefined;

  constructor(options: Omit<LocalResponseNormOptions, "out">) {
    super();
    checkCount("LocalResponseNorm", "size", options.size);
    this.#options = options;
  }

  forward(x: TensorLike, options: { out?: TensorLike } = {}): Tensor {
    const { y, saved } = forwardAs("LocalResponseNorm.forward", x, { ...this.#options, out: options.out });
    this.#saved = saved;
    return y;
  }

  /** dx of the last forward. */
  backward(dy: TensorLike, options: { out?: TensorLike } = {}): Tensor {
    return backwardAs("LocalResponseNorm.backward", dy, this.#saved as LocalResponseNormSaved, options.out).dx;
  }
}
