import { checkNumber, checkOneOf, fail, show } from "../core/errors.js";
import {
  type DType,
  heap64,
  matmulScratch,
  scratch,
  scratchF64,
  type TypedArray,
  withScratch,
} from "../core/memory.js";
import { kernels, LINEAR } from "../core/parts.js";
import { normalValues, readSeed } from "../core/random.js";
import { arrayClass, type Tensor } from "../core/tensor.js";
import { strideOf } from "../linalg/eigh.js";
import { readShape } from "./lecun-normal.js";

export interface OrthogonalOptions {
  /** The length of each row (or column, where there are more rows). Default 1. */
  gain?: number;
  /** Of the random numbers: the same seed gives the same bits everywhere. Default 0. */
  seed?: number;
  /** Default "float32". */
  dtype?: DType;
}

/**
 * `gain` times the rows of Q, [rows, n], in `q`, where A = R·Q, R a triangle with a positive diagonal: the rows of A in
 * order, each made orthogonal to those after it. A [rows, n], rows ≤ n, is overwritten; rows are `stride` elements apart.
 */
function orthogonalize(q: number, a: number, rows: number, n: number, stride: number, gain: number): void {
  const k = kernels(LINEAR);
  const [diagonal, tau] = [scratch(8 * rows), scratch(8 * rows)];
  const product = matmulScratch();
  const work = scratch(k.applyReflectionsScratchBytes(rows, stride) + 8 * (stride + rows));
  k.triangularize_f64(diagonal, tau, a, rows, n, stride, work, product);
  // A = [0 | R]·H, so that Q = [0 | signs of the diagonal]·H.
  const heap = heap64();
  heap.fill(0, q / 8, q / 8 + rows * stride);
  for (let i = 0; i < rows; i++) heap[q / 8 + i * stride + n - rows + i] = heap[diagonal / 8 + i] < 0 ? -gain : gain;
  k.applyReflections_f64(q, a, tau, rows, n - rows + 1, rows, stride, work, product);
}

/**
 * Orthogonal initialization: a weight whose rows (or columns, where there are fewer) are orthogonal and of the same
 * length, drawn evenly from all of them.
 *
 * w = gain·Q of a matrix of normal numbers R·Q, R a triangle with a positive diagonal: w·wᵀ = gain²·I; where w has more
 * rows than columns it is such a matrix transposed, wᵀ·w = gain²·I.
 *
 * shape is `[units, inputs]` or `[units, channels, ...window]`, taken for the matrix [units, rest]. Throws where shape
 * has fewer than two dimensions or no elements, or gain is negative.
 *
 * Source: A. M. Saxe, J. L. McClelland, S. Ganguli, "Exact solutions to the nonlinear dynamics of learning in deep
 * linear neural networks", 2013, arXiv:1312.6120; F. Mezzadri, "How to generate random matrices from the classical compact
 * groups", 2007, arXiv:math-ph/0609050.
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
  const normal = normalValues(length, "float64", readSeed(method, options.seed ?? 0));
  const [units, rest] = [shape[0], length / shape[0]];
  const [rows, n] = units > rest ? [rest, units] : [units, rest];
  const data = withScratch(() => {
    const stride = strideOf(n);
    const a = scratchF64(rows * stride);
    const q = scratch(8 * rows * stride);
    for (let i = 0; i < rows; i++) heap64().set(normal.subarray(i * n, (i + 1) * n), a / 8 + i * stride);
    orthogonalize(q, a, rows, n, stride, gain);
    return valuesOf(q, units, rest, stride, dtype);
  });
  return { data, shape: [...shape] };
}

/** A matrix as an array of its own; where it has more rows than columns q is its transpose. */
function valuesOf(q: number, rows: number, columns: number, stride: number, dtype: DType): TypedArray {
  const data = new (arrayClass(dtype))(rows * columns);
  let [from, step] = [q, stride];
  if (rows > columns) {
    [from, step] = [scratch(8 * rows * columns), columns];
    kernels(LINEAR).transpose_f64(from, q, columns, rows, columns, stride);
  }
  const heap = heap64();
  for (let i = 0; i < rows; i++) {
    const at = from / 8 + i * step;
    data.set(heap.subarray(at, at + columns), i * columns);
  }
  return data;
}
