import { fail, show } from "../core/errors.js";
import { copyF64, heap64, kernels, scratch, scratchF64, withScratch } from "../core/memory.js";
import { readTensor, type Tensor, type TensorLike } from "../core/tensor.js";
import { copyScaled, strideOf, symmetricEigen } from "./eigh.js";

export interface SVD {
  /** Left singular vectors, [m, k]: column j belongs to s[j]. */
  u: Tensor<Float64Array>;
  /** Singular values, descending, k = min(m, n). */
  s: Float64Array;
  /** Right singular vectors transposed, [k, n]: row j belongs to s[j]. */
  vt: Tensor<Float64Array>;
}

/** Sweeps until the rows are orthogonal: two to six are usual. */
const MOST_SWEEPS = 40;

/** Eigenvectors of A·Aᵀ tell rows apart whose squares are at least this part of the largest; below, they are rounding. */
const RESOLVED = 2 ** -40;

/** Rows of a symmetric product that are worked out at a time; what lies above its diagonal is wasted. */
const GRAM_ROWS = 64;

/**
 * The thin singular value decomposition of a matrix.
 *
 * A = U·diag(s)·Vᵀ: u is U [m, k], s descends, vt is Vᵀ [k, n], k = min(m, n), f64, as in numpy with
 * full_matrices=False. UᵀU = VᵀV = I also where singular values are zero or coincide.
 *
 * matrix is [m, n], f32 or f64; the work is done in f64. Singular values are right to a few ulps of the largest, however
 * small; those below 1e-130 of it come out as 0. Throws where matrix is not a matrix or not finite.
 *
 * Source: one-sided Jacobi rotations (Hestenes, 1958; Drmač and Veselić, "New fast and accurate Jacobi SVD algorithm",
 * 2008) of rows that the eigenvectors of A·Aᵀ have brought near to orthogonal: those alone would lose half the digits.
 *
 * @example
 * const { u, s, vt } = svd({ data: new Float32Array([3, 0, 0, 4]), shape: [2, 2] });
 * s; // [4, 3]
 */
export function svd(matrix: TensorLike): SVD {
  const method = "svd";
  const a = readTensor(method, "matrix", matrix);
  if (a.shape.length !== 2) {
    fail(method, `matrix must be [rows, columns], got shape ${show(a.shape)}; reshape it, e.g. to [out, rest]`);
  }
  const [m, n] = a.shape;
  const isTall = m > n;
  const [k, length] = isTall ? [n, m] : [m, n];
  return withScratch(() => {
    // The shorter side lies down as rows: a = left·diag(values)·right, or its transpose. Loops may touch one column more
    // than there are.
    const stride = strideOf(length);
    const side = strideOf(k);
    const given = scratchF64(k * stride);
    let scale: number;
    if (isTall) {
      const upright = scratchF64(m * side);
      scale = copyScaled(method, "matrix", a, upright, side);
      kernels().transpose_f64(given, upright, m, n, stride, side);
    } else scale = copyScaled(method, "matrix", a, given, stride);

    const left = scratchF64(k * side);
    for (let i = 0; i < k; i++) heap64()[left / 8 + i * (side + 1)] = 1;
    const squares = scratch(8 * k);
    const tolerance = Math.sqrt(length) * 2 ** -52;
    let first = 0;
    for (let sweep = 0; ; sweep++) {
      if (first < k) rotateByEigenvectors(given, left, first, k, length, stride, side);
      if (kernels().orthogonalizeRows_f64(given, left, squares, k, length, k, stride, side, tolerance) === 0) break;
      if (sweep === MOST_SWEEPS) {
        fail(method, "the rotations did not converge; this is a defect, please report the matrix");
      }
      const largest = heap64()[squares / 8 + first];
      do first++;
      while (first < k && heap64()[squares / 8 + first] > RESOLVED * largest);
    }
    kernels().normalizeRows_f64(given, squares, k, length, stride, scratch(8 * (2 * stride + k)));
    const norms = copyF64(squares, k);

    const order = Array.from(norms.keys()).sort((i, j) => norms[j] - norms[i] || i - j);
    const s = Float64Array.from(order, (i) => norms[i] / scale);
    const [asRows, asColumns] = isTall ? [left, given] : [given, left];
    const [rowStride, columnStride] = isTall ? [side, stride] : [stride, side];
    const vt = new Float64Array(k * n);
    for (const [i, from] of order.entries()) {
      const at = asRows / 8 + from * rowStride;
      vt.set(heap64().subarray(at, at + n), i * n);
    }
    const sorted = scratch(8 * k * columnStride);
    const u = scratch(8 * m * k);
    for (const [i, from] of order.entries()) {
      const at = asColumns / 8 + from * columnStride;
      heap64().copyWithin(sorted / 8 + i * columnStride, at, at + m);
    }
    kernels().transpose_f64(u, sorted, k, m, k, columnStride);
    return {
      u: { data: heap64().slice(u / 8, u / 8 + m * k), shape: [m, k] },
      s,
      vt: { data: vt, shape: [k, n] },
    };
  });
}

/**
 * Multiplies the rows of `right` [k, length] and `left` [k, k] from `first` on by the eigenvectors of right·rightᵀ there,
 * the largest first.
 */
function rotateByEigenvectors(
  right: number,
  left: number,
  first: number,
  k: number,
  length: number,
  stride: number,
  side: number,
): void {
  withScratch(() => {
    const count = k - first;
    const width = strideOf(count);
    const gram = scratchF64(width * width);
    const vectors = scratch(8 * count * width);
    const product = scratch(kernels().matmulScratchBytes());
    const { multiplyAdd_f64: multiplyAdd } = kernels();
    const start = right + 8 * first * stride;
    for (let r = 0; r < count; r += GRAM_ROWS) {
      const rows = Math.min(GRAM_ROWS, count - r);
      const from = start + 8 * r * stride;
      multiplyAdd(gram + 8 * r * width, from, start, rows, r + rows, length, width, 1, stride, 1, stride, product);
    }
    symmetricEigen(gram, count, width);
    for (let i = 0; i < count; i++) {
      const at = gram / 8 + (count - 1 - i) * width;
      heap64().copyWithin(vectors / 8 + i * width, at, at + count);
    }
    for (const [rows, n, step] of [
      [start, length, stride],
      [left + 8 * first * side, k, side],
    ]) {
      withScratch(() => {
        const rotated = scratchF64(count * step);
        multiplyAdd(rotated, vectors, rows, count, n, count, step, 1, width, step, 1, product);
        heap64().copyWithin(rows / 8, rotated / 8, rotated / 8 + count * step);
      });
    }
  });
}
