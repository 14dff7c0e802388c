import { checkNumber } from "../core/errors.js";
import { copyF64, matmulScratch, scratch, viewF64, withScratch } from "../core/memory.js";
import { FUNCTIONS, kernelsOf, LINEAR, ROWS } from "../core/parts.js";
import { stageF64 } from "../core/stream.js";
import { elementsOf, readTensor, Target, type Tensor, type TensorLike } from "../core/tensor.js";
import { type SVD, svd } from "../linalg/svd.js";

export interface SingularValueBoundingOptions {
  /**
   * How far singular values may be from 1: between 1/(1 + epsilon) and 1 + epsilon. Default 0.5; 0.05 for convolutions.
   */
  epsilon?: number;
  /** Where to write the result; may be w. Default: a new heap array. */
  out?: TensorLike;
}

/** U·diag(values)·Vᵀ, [m, n]. */
function recompose({ u, vt }: SVD, values: Float64Array): Float64Array {
  const [m, k] = u.shape;
  const n = vt.shape[1];
  const { rowAffine } = kernelsOf(ROWS, "float64");
  const { matmul } = kernelsOf(LINEAR, "float64");
  return withScratch(() => {
    const left = stageF64(u.data);
    const right = stageF64(vt.data);
    const zeros = stageF64(new Float64Array(k));
    rowAffine(right, right, zeros, stageF64(values), zeros, k, n, 0, k);
    const product = scratch(m * n * 8);
    matmul(product, left, right, m, n, k, 0, 0, matmulScratch());
    return copyF64(product, m * n);
  });
}

/**
 * Singular value bounding: the weight with its singular values brought near 1, so that the layer stretches no direction
 * much more than another. A projection, for every few hundred steps of an optimizer (in the paper once an epoch),
 * together with orthogonal initialization and, where there is one, bounded batch norm.
 *
 * With W = U·diag(s)·Vᵀ: each s is brought between 1/(1 + epsilon) and 1 + epsilon, W = U·diag(s)·Vᵀ again.
 *
 * w is `[units, ...]` of any shape, taken for the matrix [units, rest], f32 or f64; the result has the shape of w.
 * Worked out in f64, rounded once. Where all singular values are within the bounds w comes back to the bit. Throws
 * where epsilon is negative or w is not finite.
 *
 * Source: K. Jia, D. Tao, S. Gao, X. Xu, "Improving training of deep neural networks via Singular Value Bounding",
 * 2016, arXiv:1611.06013, algorithm 1.
 *
 * @example
 * const w = { data: new Float32Array([3, 0, 0, 0.1]), shape: [2, 2] };
 * singularValueBounding(w); // [1.5, 0, 0, 0.6667]
 */
export function singularValueBounding(w: TensorLike, options: SingularValueBoundingOptions = {}): Tensor {
  const method = "singularValueBounding";
  const operand = readTensor(method, "w", w);
  const bound = 1 + checkNumber(method, "epsilon", options.epsilon ?? 0.5, 0);
  const y = new Target(method, options.out, operand, [operand]);
  const units = operand.shape.length === 0 ? 1 : operand.shape[0];
  const values = Float64Array.from(elementsOf(operand));
  const found = svd({ data: values, shape: [units, operand.length / units] });
  // What changes is added to w, which leaves the other singular values their last digits.
  const change = found.s.map((s) => Math.min(Math.max(s, 1 / bound), bound) - s);
  const added = change.some((value) => value !== 0) ? recompose(found, change) : new Float64Array(operand.length);
  withScratch(() => {
    const [at, from] = [values, added].map((list) => stageF64(list));
    kernelsOf(FUNCTIONS, "float64").eachAdd(at, at, from, 1, operand.length, 0, 0, 0);
    y.elements.set(viewF64(at, operand.length));
  });
  return y.result;
}
