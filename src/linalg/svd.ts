import { fail, show } from "../core/errors.js";
import { copyF64, heap64, matmulScratch, scratch, scratchF64, viewF64, withScratch } from "../core/memory.js";
import { kernels, LINEAR } from "../core/parts.js";
import { readTensor, type Tensor, type TensorLike } from "../core/tensor.js";
import { solveBidiagonal } from "./bidiagonal.js";
import { copyScaled, strideOf } from "./eigh.js";

export interface SVD {
  /** Left singular vectors, [m, k]: column j belongs to s[j]. */
  u: Tensor<Float64Array>;
  /** Singular values, descending, k = min(m, n). */
  s: Float64Array;
  /** Right singular vectors transposed, [k, n]: row j belongs to s[j]. */
  vt: Tensor<Float64Array>;
}

/** Sides of which the longer is more than this times the shorter are reduced to a triangle first. */
const OBLONG = 1.6;

/**
 * The thin singular value decomposition of a matrix.
 *
 * A = U·diag(s)·Vᵀ: u is U [m, k], s descends, vt is Vᵀ [k, n], k = min(m, n), f64, as in numpy with
 * full_matrices=False. UᵀU = VᵀV = I also where singular values are zero or coincide.
 *
 * matrix is [m, n], f32 or f64; the work is done in f64. The error is a few ulps of the largest singular value. Throws
 * where matrix is not a matrix or not finite.
 *
 * Source: reduction to bidiagonal form by blocked Householder reflections (Golub and Kahan, 1965; Dongarra, Sorensen
 * and Hammarling, 1989), then QR steps (Golub and Reinsch, 1970; Demmel and Kahan, 1990).
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
    // The shorter side lies down as rows: a = left·diag(values)·right, or its transpose. Loops may touch one column
    // more than there are.
    const stride = strideOf(length);
    const side = strideOf(k);
    const given = scratchF64(k * stride);
    let scale: number;
    if (isTall) {
      const upright = scratchF64(m * side);
      scale = copyScaled(method, "matrix", a, upright, side);
      kernels(LINEAR).transpose_f64(given, upright, m, n, stride, side);
    } else scale = copyScaled(method, "matrix", a, given, stride);

    const left = scratchF64(k * side);
    const right = scratchF64(k * stride);
    const values = decompose(left, right, given, k, length, side, stride);

    const order = Array.from(values.keys()).sort((i, j) => values[j] - values[i] || i - j);
    const s = Float64Array.from(order, (i) => values[i] / scale);
    const [asRows, asColumns] = isTall ? [left, right] : [right, left];
    const [rowStride, columnStride] = isTall ? [side, stride] : [stride, side];
    const vt = new Float64Array(k * n);
    for (const [i, from] of order.entries()) {
      vt.set(viewF64(asRows + 8 * from * rowStride, n), i * n);
    }
    const sorted = scratch(8 * k * columnStride);
    const u = scratch(8 * m * k);
    for (const [i, from] of order.entries()) {
      const at = asColumns / 8 + from * columnStride;
      heap64().copyWithin(sorted / 8 + i * columnStride, at, at + m);
    }
    kernels(LINEAR).transpose_f64(u, sorted, k, m, k, columnStride);
    return {
      u: { data: copyF64(u, m * k), shape: [m, k] },
      s,
      vt: { data: vt, shape: [k, n] },
    };
  });
}

/**
 * given = leftᵀ·diag(values)·right with rows of length 1, values in no order. left [k, k] and right [k, length] are
 * cleared before; given is overwritten. Rows of left and of the others are `side` and `stride` elements apart.
 */
function decompose(
  left: number,
  right: number,
  given: number,
  k: number,
  length: number,
  side: number,
  stride: number,
): Float64Array {
  const tau = scratch(8 * k);
  const product = matmulScratch();
  const work = scratch(
    Math.max(
      kernels(LINEAR).bidiagonalizeScratchBytes(stride, side),
      kernels(LINEAR).applyReflectionsScratchBytes(k, stride) + 8 * (stride + k),
    ),
  );
  const last = right + 8 * (length - k);
  if (length > OBLONG * k) {
    // given = [0 | triangle]·H_0···H_{k−1}: the triangle is decomposed, its right rows take on the reflections.
    const diagonal = scratch(8 * k);
    kernels(LINEAR).triangularize_f64(diagonal, tau, given, k, length, stride, work, product);
    const triangle = scratchF64(k * side);
    const heap = heap64();
    for (let i = 0; i < k; i++) {
      const from = given / 8 + i * stride + length - k;
      heap.copyWithin(triangle / 8 + i * side + i, from + i, from + k);
      heap[triangle / 8 + i * side + i] = heap[diagonal / 8 + i];
    }
    const inner = scratchF64(k * side);
    const values = withScratch(() => decompose(left, inner, triangle, k, k, side, side));
    for (let i = 0; i < k; i++) {
      const from = inner / 8 + i * side;
      heap64().copyWithin(last / 8 + i * stride, from, from + k);
    }
    kernels(LINEAR).applyReflections_f64(right, given, tau, k, length - k + 1, k, stride, work, product);
    return values;
  }
  const d = scratch(8 * k);
  const e = scratch(8 * k);
  const tauLeft = scratch(8 * k);
  const columns = scratchF64(k * side);
  kernels(LINEAR).bidiagonalize_f64(d, e, tau, tauLeft, given, columns, k, length, stride, side, work, product);
  const values = copyF64(d, k);
  const heap = heap64();
  for (let i = 0; i < k; i++) {
    heap[left / 8 + i * (side + 1)] = 1;
    heap[last / 8 + i * (stride + 1)] = 1;
  }
  solveBidiagonal(values, copyF64(e, k - 1), { at: left, columns: k, stride: side }, { at: last, columns: k, stride });
  kernels(LINEAR).applyReflections_f64(left, columns + 8 * side, tauLeft + 8, k, 1, k - 1, side, work, product);
  kernels(LINEAR).applyReflections_f64(right, given, tau, k, length - k + 1, k, stride, work, product);
  return values;
}
