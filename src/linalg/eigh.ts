import { fail, show } from "../core/errors.js";
import { heap64, kernels, scratch, scratchF64, withScratch } from "../core/memory.js";
import { elementsOf, type Operand, readTensor, type Tensor, type TensorLike } from "../core/tensor.js";
import { solveTridiagonal } from "./tridiagonal.js";

export interface Eigen {
  /** Eigenvalues, ascending. */
  values: Float64Array;
  /** Eigenvectors [n, n]: column j belongs to values[j]. */
  vectors: Tensor<Float64Array>;
}

export function eigh(matrix: TensorLike): Eigen {
  const method = "eigh";
  const a = readTensor(method, "matrix", matrix);
  const [n] = a.shape;
  if (a.shape.length !== 2 || a.shape[1] !== n) {
    fail(method, `matrix must be square [n, n], got shape ${show(a.shape)}`);
  }
  return withScratch(() => {
    const { values, rows, stride } = symmetricEigen(method, a, n);
    const out = scratch(8 * n * n);
    kernels().transpose_f64(out, rows, n, n, stride);
    return { values, vectors: { data: heap64().slice(out / 8, out / 8 + n * n), shape: [n, n] } };
  });
}

export function symmetricEigen(method: string, a: Operand, n: number) {
  const stride = (n & ~3) + 4;
  const t0 = performance.now();
  const matrix = scratchF64(stride * stride);
  const z = scratchF64(stride * stride);
  const d = scratch(8 * n);
  const e = scratch(8 * n);
  const tau = scratch(8 * n);
  const product = scratch(kernels().matmulScratchBytes());
  const elements = elementsOf(a);
  for (let i = 0; i < n; i++) heap64().set(elements.subarray(i * n, (i + 1) * n), matrix / 8 + i * stride);
  const t1 = performance.now();
  kernels().tridiagonalize_f64(d, e, tau, matrix, n, stride, scratch(kernels().tridiagonalizeScratchBytes(stride)), product);
  const t2 = performance.now();
  const values = heap64().slice(d / 8, d / 8 + n);
  const beside = heap64().slice(e / 8, e / 8 + n - 1);
  solveTridiagonal(values, beside, z, stride);
  (globalThis as any).__Z?.(heap64().slice(z/8,z/8+stride*stride),stride);
  const t3 = performance.now();
  kernels().applyReflections_f64(z, matrix, tau, n, n, stride, scratch(kernels().applyReflectionsScratchBytes(n, stride)), product);
  (globalThis as any).__Z?.(heap64().slice(z/8,z/8+stride*stride),stride);
  const t4 = performance.now();
  const order = Array.from(values.keys()).sort((i, j) => values[i] - values[j]);
  const heap = heap64();
  for (const [i, from] of order.entries()) {
    heap.copyWithin(matrix / 8 + i * stride, z / 8 + from * stride, z / 8 + from * stride + n);
  }
  const t5 = performance.now();
  (globalThis as any).__t = [t1 - t0, t2 - t1, t3 - t2, t4 - t3, t5 - t4];
  return { values: Float64Array.from(order, (i) => values[i]), rows: matrix, stride };
}
