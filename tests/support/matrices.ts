/** Matrices with known troubles, and how far a factorization is off. */
import { matmul } from "../../src/index.js";
import { random } from "./numbers.js";

export interface Matrix {
  data: Float64Array;
  shape: number[];
}

export function matrixOf(rows: number, columns: number, element: (i: number, j: number) => number): Matrix {
  const data = new Float64Array(rows * columns);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) data[i * columns + j] = element(i, j);
  return { data, shape: [rows, columns] };
}

/** A symmetric matrix from its lower triangle. */
export function symmetricOf(n: number, element: (i: number, j: number) => number): Matrix {
  const matrix = matrixOf(n, n, (i, j) => (j <= i ? element(i, j) : 0));
  for (let i = 0; i < n; i++) for (let j = 0; j < i; j++) matrix.data[j * n + i] = matrix.data[i * n + j];
  return matrix;
}

export function tridiagonalOf(n: number, diagonal: (i: number) => number, beside: (i: number) => number): Matrix {
  return symmetricOf(n, (i, j) => (i === j ? diagonal(i) : i === j + 1 ? beside(j) : 0));
}

/** An orthogonal matrix: a product of as many reflections as there are rows. */
export function orthogonalOf(n: number, seed: number): Matrix {
  const next = random(seed);
  const q = matrixOf(n, n, (i, j) => (i === j ? 1 : 0));
  const v = new Float64Array(n);
  const sums = new Float64Array(n);
  for (let k = 0; k < n; k++) {
    let squares = 0;
    for (let i = 0; i < n; i++) {
      v[i] = next();
      squares += v[i] ** 2;
    }
    sums.fill(0);
    for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) sums[j] += v[i] * q.data[i * n + j];
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) q.data[i * n + j] -= (2 * v[i] * sums[j]) / squares;
    }
  }
  return q;
}

/** Q·diag(spectrum)·Qᵀ. */
export function withSpectrum(n: number, spectrum: (k: number) => number, seed = 1): Matrix {
  const q = orthogonalOf(n, seed);
  const product = matmul(scaleColumns(q, spectrum), q, { transposeB: true }).data;
  return symmetricOf(n, (i, j) => product[i * n + j]);
}

export function scaleColumns({ data, shape }: Matrix, factor: (j: number) => number): Matrix {
  return { data: data.map((value, i) => value * factor(i % shape[1])), shape };
}

/** Largest element of |a − b|, against the largest of |b| where that is not 0. */
export function relativeDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let [largest, size] = [0, 0];
  for (let i = 0; i < b.length; i++) {
    const difference = Math.abs(a[i] - b[i]);
    if (!(difference <= largest)) largest = difference;
    size = Math.max(size, Math.abs(b[i]));
  }
  return a.length === b.length ? largest / (size || 1) : Infinity;
}

/** Largest element of |AᵀA − I|, or of |A·Aᵀ − I| for rows. */
export function distanceFromOrthogonal(a: Matrix, rows = false): number {
  const product = matmul(a, a, { transposeA: !rows, transposeB: rows });
  const [n] = product.shape;
  return relativeDifference(product.data, matrixOf(n, n, (i, j) => (i === j ? 1 : 0)).data);
}
