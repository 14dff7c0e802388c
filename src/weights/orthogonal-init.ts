import { checkNumber, checkOneOf, fail, show } from "../core/errors.js";
import type { DType } from "../core/memory.js";
import { normalValues, readSeed } from "../core/random.js";
import { arrayClass, type Tensor } from "../core/tensor.js";
import { svd } from "../linalg/svd.js";
import { readShape } from "./lecun-normal.js";
import { recompose } from "./singular-value-bounding.js";

export interface OrthogonalOptions {
  /** The length of each row (or column, where there are more rows). Default 1. */
  gain?: number;
  /** Of the random numbers: the same seed gives the same bits everywhere. Default 0. */
  seed?: number;
  /** Default "float32". */
  dtype?: DType;
}

/**
 * Orthogonal initialization: a weight whose rows (or columns, where there are fewer) are orthogonal and of the same
 * length, drawn evenly from all of them.
 *
 * w = gain·U·Vᵀ of a matrix of normal numbers U·diag(s)·Vᵀ: w·wᵀ = gain²·I, or wᵀ·w where w has more rows than columns.
 *
 * shape is `[units, inputs]` or `[units, channels, ...window]`, taken for the matrix [units, rest]. Throws where shape
 * has fewer than two dimensions or no elements, or gain is negative.
 *
 * Source: A. M. Saxe, J. L. McClelland, S. Ganguli, "Exact solutions to the nonlinear dynamics of learning in deep
 * linear neural networks", 2013, arXiv:1312.6120.
 *
 * @example
 * const w = orthogonal([64, 128], { seed: 1 });
 */
export function orthogonal(shape: readonly number[], options: OrthogonalOptions = {}): Tensor {
  const method = "orthogonal";
  const length = readShape(method, shape);
  if (shape.length < 2) fail(method, `shape must have at least two dimensions, got ${show(shape)}`);
  const gain = checkNumber(method, "gain", options.gain ?? 1, 0);
  const dtype = checkOneOf(method, "dtype", options.dtype ?? "float32", ["float32", "float64"]);
  const data = normalValues(length, "float64", readSeed(method, options.seed ?? 0));
  const found = svd({ data, shape: [shape[0], length / shape[0]] });
  const values = recompose(
    found,
    found.s.map(() => gain),
  );
  return { data: dtype === "float64" ? values : new (arrayClass(dtype))(values), shape: [...shape] };
}
