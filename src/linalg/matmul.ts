import { fail, show } from "../core/errors.js";
import { elementBytes, matmulScratch, scratch, withScratch } from "../core/memory.js";
import { kernelsOf, LINEAR } from "../core/parts.js";
import { stageWhole, stream } from "../core/stream.js";
import { readTensor, shaped, Target, type Tensor, type TensorLike } from "../core/tensor.js";

export interface MatmulOptions {
  /** Multiply by aᵀ: a is stored [k, m]. Default false. */
  transposeA?: boolean;
  /** Multiply by bᵀ: b is stored [n, k]. Default false. */
  transposeB?: boolean;
  /** Where to write the product; not a or b. Default: a new heap array. */
  out?: TensorLike;
}

/** Rows of the product that are worked out at a time where it goes to the heap. */
const ROWS = 256;

/**
 * The product of two matrices.
 *
 * c[i, j] = Σ_p a[i, p]·b[p, j], with a or b transposed on request. a is [m, k], b is [k, n], c is [m, n], all f32 or all
 * f64. The order of the sum depends on k alone. Throws where an argument is no matrix, the inner sizes differ, or out
 * overlaps an input.
 *
 * @example
 * const a = { data: new Float32Array([1, 2, 3, 4]), shape: [2, 2] };
 * matmul(a, a, { transposeB: true }); // [5, 11, 11, 25]
 */
export function matmul(a: TensorLike, b: TensorLike, options: MatmulOptions = {}): Tensor {
  const method = "matmul";
  const { transposeA = false, transposeB = false } = options;
  const left = readTensor(method, "a", a);
  const right = readTensor(method, "b", b);
  const factors = [left, right];
  for (const { name, shape } of factors) {
    if (shape.length !== 2) fail(method, `${name} must be a matrix [rows, columns], got shape ${show(shape)}`);
  }
  if (left.dtype !== right.dtype) fail(method, `b is ${right.dtype} where a is ${left.dtype}; convert one of them`);
  const [m, k] = transposeA ? [left.shape[1], left.shape[0]] : left.shape;
  const [inner, n] = transposeB ? [right.shape[1], right.shape[0]] : right.shape;
  if (inner !== k) {
    fail(
      method,
      `b${transposeB ? " transposed" : ""} has ${inner} rows where a${transposeA ? " transposed" : ""} has ${k} columns ` +
        `(shapes ${show(left.shape)} and ${show(right.shape)}); they must be the same`,
    );
  }
  const out = new Target(method, options.out, shaped(left.dtype, [m, n]), factors);
  for (const factor of factors) {
    if (out.isPlaceOf(factor)) fail(method, `out must not be ${factor.name}; pass another tensor`);
  }
  const kernel = kernelsOf(LINEAR, left.dtype).matmul;
  const width = elementBytes(left.dtype);
  withScratch(() => {
    const atA = stageWhole(left, left.dtype);
    const atB = stageWhole(right, left.dtype);
    const workspace = matmulScratch();
    if (transposeA) {
      // The rows of the product are columns of a: they cannot be had by address, so the product is made at once.
      const atC = out.staged ? scratch(m * n * width) : out.pointer;
      kernel(atC, atA, atB, m, n, k, 1, transposeB ? 1 : 0, workspace);
      if (out.staged) out.take(atC, 0, m * n);
      return;
    }
    stream({ rows: m, n, rowMultiple: ROWS }, [], [out], ([atC], { row, rows }) => {
      kernel(atC, atA + row * k * width, atB, rows, n, k, 0, transposeB ? 1 : 0, workspace);
    });
  });
  return out.result;
}
