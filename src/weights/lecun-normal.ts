import { checkCount, checkNumber, checkOneOf, fail, show } from "../core/errors.js";
import type { DType } from "../core/memory.js";
import { normalValues, readSeed } from "../core/random.js";
import { checkShape, type Tensor } from "../core/tensor.js";

export interface LecunNormalOptions {
  /** Of the random numbers: the same seed gives the same bits everywhere. Default 0. */
  seed?: number;
  /** Inputs of a unit. Default: the product of the shape without its first dimension. */
  fanIn?: number;
  /** Factor of the deviation. Default 1. */
  gain?: number;
  /** Default "float32". */
  dtype?: DType;
}

/** A shape of at least one element. @internal */
export function readShape(method: string, shape: readonly number[]): number {
  const length = checkShape(method, "shape", shape);
  if (length === 0) fail(method, `shape must hold whole numbers of at least 1, got ${show(shape)}`);
  return length;
}

/**
 * LeCun's initialization: normal numbers of mean 0 and variance 1/fanIn, under which standardized inputs give units of
 * variance 1. Self-normalizing networks start from it.
 *
 * w ~ N(0, gain²/fanIn), w is `[units, inputs]` or `[units, channels, ...window]`. Throws where the shape is empty or
 * fanIn is below 1.
 *
 * Source: G. Klambauer, T. Unterthiner, A. Mayr, S. Hochreiter, "Self-Normalizing Neural Networks", 2017,
 * arXiv:1706.02515; Y. LeCun, L. Bottou, G. B. Orr, K.-R. Müller, "Efficient BackProp", 1998.
 *
 * @example
 * const w = lecunNormal([64, 128], { seed: 1 });
 */
export function lecunNormal(shape: readonly number[], options: LecunNormalOptions = {}): Tensor {
  const method = "lecunNormal";
  const length = readShape(method, shape);
  const fanIn = checkCount(method, "fanIn", options.fanIn ?? (shape.length < 2 ? length : length / shape[0]));
  const gain = checkNumber(method, "gain", options.gain ?? 1, 0);
  const dtype = checkOneOf(method, "dtype", options.dtype ?? "float32", ["float32", "float64"]);
  const seed = readSeed(method, options.seed ?? 0);
  const data = normalValues(length, dtype, seed, { deviation: gain / Math.sqrt(fanIn) });
  return { data, shape: [...shape] };
}
