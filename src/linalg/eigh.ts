import { fail, show } from "../core/errors.js";
import { copyF64, heap64, matmulScratch, scratch, scratchF64, withScratch } from "../core/memory.js";
import { kernels, kernelsOf, LINEAR, ROWS } from "../core/parts.js";
import { elementsOf, type Operand, readTensor, type Tensor, type TensorLike } from "../core/tensor.js";
import { solveTridiagonal } from "./tridiagonal.js";

export interface Eigen {
  /** Eigenvalues, ascending. */
  values: Float64Array;
  /** Eigenvectors, [n, n]: column j belongs to values[j]. */
  vectors: Tensor<Float64Array>;
}

/** How far elements across the diagonal may differ, as a part of the largest element. */
const ASYMMETRY = { float32: 1e-5, float64: 1e-10 };

/**
 * Eigenvalues and eigenvectors of a symmetric matrix.
 *
 * A·V = V·diag(values), Vᵀ·V = I: `vectors` is V, [n, n] f64, an eigenvector a column, and `values` ascends, as in
 * numpy. In each eigenvector the first of the elements of largest magnitude (to 1e-8) is positive.
 *
 * matrix is [n, n], f32 or f64; the lower triangle is read, and the work is done in f64. The error is a few ulps of the
 * largest eigenvalue, also where eigenvalues coincide. Throws where matrix is not square, not symmetric (to 1e-5 of its
 * largest element in f32, 1e-10 in f64) or not finite.
 *
 * Source: reduction to tridiagonal form by blocked Householder reflections (Dongarra, Sorensen and Hammarling, 1989),
 * then divide and conquer (Cuppen, 1981; Gu and Eisenstat, 1995).
 *
 * @example
 * const { values, vectors } = eigh({ data: new Float64Array([2, 1, 1, 2]), shape: [2, 2] });
 * values; // [1, 3]
 * vectors.data; // [0.7071, 0.7071, -0.7071, 0.7071]
 */
export function eigh(matrix: TensorLike): Eigen {
  const method = "eigh";
  const a = readTensor(method, "matrix", matrix);
  const [n] = a.shape;
  if (a.shape.length !== 2 || a.shape[1] !== n) {
    fail(method, `matrix must be square [n, n], got shape ${show(a.shape)}`);
  }
  return withScratch(() => {
    const stride = strideOf(n);
    const rows = scratchF64(stride * stride);
    const scale = copyScaled(method, "matrix", a, rows, stride);
    if (kernels(LINEAR).asymmetry_f64(rows, n, stride) > ASYMMETRY[a.dtype]) failAsymmetric(method, "matrix", a);
    const values = symmetricEigen(rows, n, stride).map((value) => value / scale);
    const out = scratch(8 * n * n);
    kernels(LINEAR).transpose_f64(out, rows, n, n, n, stride);
    return { values, vectors: { data: copyF64(out, n * n), shape: [n, n] } };
  });
}

/** Elements from row to row: the kernels take a multiple of 4, and may touch one column more than there are. */
export function strideOf(n: number): number {
  return (n & ~3) + 4;
}

/**
 * The eigenvalues, ascending, of a symmetric matrix in linear memory: [n, n], rows `stride` elements apart, room for
 * `stride` rows, the largest element near 1, zero beyond n. Its lower triangle is read; its rows become the
 * eigenvectors, of which the first of the elements of largest magnitude (to 1e-8) is positive.
 */
export function symmetricEigen(matrix: number, n: number, stride: number): Float64Array {
  return withScratch(() => {
    const k = kernels(LINEAR);
    const z = scratchF64(stride * stride);
    const d = scratch(8 * n);
    const e = scratch(8 * n);
    const tau = scratch(8 * n);
    const product = matmulScratch();
    const work = scratch(Math.max(k.tridiagonalizeScratchBytes(stride), k.applyReflectionsScratchBytes(n, stride)));
    k.tridiagonalize_f64(d, e, tau, matrix, n, stride, work, product);
    const values = copyF64(d, n);
    solveTridiagonal(values, copyF64(e, n - 1), z, stride);
    k.applyReflections_f64(z, matrix + 8 * stride, tau + 8, n, 1, n - 1, stride, work, product);
    k.orientRows_f64(z, n, n, stride);
    const order = Array.from(values.keys()).sort((i, j) => values[i] - values[j] || i - j);
    const heap = heap64();
    for (const [i, from] of order.entries()) {
      const at = z / 8 + from * stride;
      heap.copyWithin(matrix / 8 + i * stride, at, at + n);
    }
    return Float64Array.from(order, (i) => values[i]);
  });
}

/**
 * Copies a matrix into cleared f64 rows, scaled by the power of two that brings its largest element near 1; returns
 * that power. Throws on what is not finite.
 */
export function copyScaled(method: string, name: string, a: Operand, to: number, stride: number): number {
  const [rows, n] = a.shape;
  return withScratch(() => {
    const result = scratch(24);
    const elements = elementsOf(a);
    const heap = heap64();
    for (let i = 0; i < rows; i++) heap.set(elements.subarray(i * n, (i + 1) * n), to / 8 + i * stride);
    const k = kernelsOf(ROWS, "float64");
    k.rowMaxAbs(result, to, 1, rows * stride);
    const largest = heap[result / 8];
    if (!(largest < Infinity)) {
      const at = elements.findIndex((value) => !Number.isFinite(value));
      fail(method, `${name}[${Math.floor(at / n)}, ${at % n}] is ${elements[at]}; it must be finite`);
    }
    const scale = powerNear(largest);
    heap.set([0, scale, 0], result / 8);
    if (scale !== 1) k.rowAffine(to, to, result, result + 8, result + 16, 1, rows * stride, 0, 1);
    return scale;
  });
}

/** The power of two that brings a number to [1, 2); 1 for 0, 2¹⁰²² for subnormal numbers. */
export function powerNear(value: number): number {
  const exponent = (new DataView(Float64Array.of(value).buffer).getUint16(6, true) >> 4) - 1023;
  return value === 0 ? 1 : 2 ** -Math.max(exponent, -1022);
}

function failAsymmetric(method: string, name: string, a: Operand): never {
  const [n] = a.shape;
  const elements = elementsOf(a);
  let [row, column, largest] = [0, 0, 0];
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < i; j++) {
      const difference = Math.abs(elements[i * n + j] - elements[j * n + i]);
      if (difference > largest) [row, column, largest] = [i, j, difference];
    }
  }
  fail(
    method,
    `${name} must be symmetric, but ${name}[${row}, ${column}] is ${elements[row * n + column]} and ` +
      `${name}[${column}, ${row}] is ${elements[column * n + row]}; pass (A + Aᵀ)/2, or use svd`,
  );
}
