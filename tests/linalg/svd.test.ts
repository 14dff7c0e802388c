import { describe, expect, it } from "vitest";
import { matmul, memoryInfo, svd, tensor } from "../../src/index.js";
import {
  distanceFromOrthogonal,
  type Matrix,
  matrixOf,
  orthogonalOf,
  relativeDifference,
  scaleColumns,
} from "../support/matrices.js";
import { bits, random } from "../support/numbers.js";

function check(a: Matrix): void {
  const [m, n] = a.shape;
  const k = Math.min(m, n);
  const { u, s, vt } = svd(a);
  expect([u.shape, s.length, vt.shape]).toEqual([[m, k], k, [k, n]]);
  expect(s.every((value, i) => value >= 0 && (i === 0 || value <= s[i - 1]))).toBe(true);
  const size = a.data.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
  const product = matmul(
    scaleColumns(u, (j) => s[j] / size),
    vt,
  ).data;
  const scaled = a.data.map((value) => value / size);
  const norm = Math.max(1, s[0] / size);
  expect(relativeDifference(product, scaled) / norm).toBeLessThan(1e-14 * Math.sqrt(k));
  expect(distanceFromOrthogonal(u)).toBeLessThan(4e-15 * Math.sqrt(k));
  expect(distanceFromOrthogonal(vt, true)).toBeLessThan(4e-15 * Math.sqrt(k));
}

function randomMatrix(m: number, n: number, seed = m + n): Matrix {
  const next = random(seed);
  return matrixOf(m, n, () => next());
}

const hard: Record<string, (i: number, j: number, m: number, n: number) => number> = {
  zero: () => 0,
  ones: () => 1,
  identity: (i, j) => (i === j ? 1 : 0),
  "diagonal over 100 orders": (i, j, m) => (i === j ? 10 ** ((-100 * i) / m) : 0),
  bidiagonal: (i, j) => (i === j ? 1 : i + 1 === j ? 2 : 0),
  "bidiagonal with zeros": (i, j) => (i === j ? i % 4 : i + 1 === j ? 1 : 0),
  hilbert: (i, j) => 1 / (i + j + 1),
  "graded rows": (i, j, m, n) => Math.sin(i * n + j) * 10 ** ((-30 * i) / m),
  "graded columns": (i, j, _, n) => Math.sin(i * n + j) * 10 ** ((-30 * (n - j)) / n),
  "graded over 400 orders": (i, j, m, n) => Math.sin(i * n + j) * 10 ** (-200 * (i / m + j / n)),
  "rows of zeros": (i, j, _, n) => (i % 2 ? 0 : Math.sin(i * n + j)),
  "columns of zeros": (i, j, _, n) => (j % 3 ? 0 : Math.sin(i * n + j)),
  "rows twice": (i, j, _, n) => Math.sin((i >> 1) * n + j),
  "rank 2": (i, j) => Math.sin(i) * j + Math.cos(i * i) * Math.sin(j),
  tiny: (i, j, _, n) => Math.sin(i * n + j) * 1e-300,
  huge: (i, j, _, n) => Math.sin(i * n + j) * 1e304,
};

const shapes = [
  [1, 1],
  [1, 5],
  [5, 1],
  [2, 2],
  [3, 5],
  [17, 17],
  [31, 40],
  [40, 31],
  [33, 127],
  [127, 33],
  [120, 120],
];

describe("svd", () => {
  it.each(shapes)("decomposes a random matrix of %i x %i", (m, n) => {
    check(randomMatrix(m, n));
  });

  it.each(Object.entries(hard))("decomposes: %s", (_, element) => {
    for (const [m, n] of [
      [1, 3],
      [2, 2],
      [20, 33],
      [64, 9],
      [50, 50],
    ]) {
      check(matrixOf(m, n, (i, j) => element(i, j, m, n)));
    }
  });

  it("finds known singular values, small ones too", () => {
    const n = 60;
    const known = Float64Array.from({ length: n }, (_, k) => 10 ** ((-14 * k) / n));
    const a = matmul(
      scaleColumns(orthogonalOf(n, 1), (j) => known[j]),
      orthogonalOf(n, 2),
    );
    const { s } = svd(a);
    // An ulp or few of the largest; the square root of A·Aᵀ would be off by 1e-8.
    for (let k = 0; k < n; k++) expect(Math.abs(s[k] - known[k])).toBeLessThan(2e-15);
  });

  it("keeps singular values of any scale", () => {
    const a = randomMatrix(20, 30);
    const { u, s, vt } = svd(a);
    for (const power of [-1000, -500, 500, 1000]) {
      const scaled = svd({ data: a.data.map((value) => value * 2 ** power), shape: a.shape });
      expect(bits(scaled.s)).toBe(bits(s.map((value) => value * 2 ** power)));
      expect([bits(scaled.u.data), bits(scaled.vt.data)]).toEqual([bits(u.data), bits(vt.data)]);
    }
  });

  it("has the same bits for heap arrays, tensors and f32, and leaves the input and the memory as they were", () => {
    const rounded = { data: Float32Array.from(randomMatrix(30, 50).data), shape: [30, 50] };
    const wide = { data: Float64Array.from(rounded.data), shape: [30, 50] };
    const want = svd(wide);
    const linear = tensor([30, 50], { data: wide.data });
    for (const { u, s, vt } of [svd(rounded), svd(linear)]) {
      expect(bits(s)).toBe(bits(want.s));
      expect([bits(u.data), bits(vt.data)]).toEqual([bits(want.u.data), bits(want.vt.data)]);
    }
    expect(bits(linear.data)).toBe(bits(wide.data));
    linear.dispose();
    expect(memoryInfo().usedBytes).toBe(0);
  });

  it("names what does not fit", () => {
    expect(() => svd({ data: new Float64Array(8), shape: [2, 2, 2] })).toThrow(
      "svd: matrix must be [rows, columns], got shape [2, 2, 2]; reshape it",
    );
    expect(() => svd({ data: new Float64Array(0), shape: [0, 3] })).toThrow("svd: matrix has no elements");
    for (const value of [Number.NaN, Infinity]) {
      const bad = matrixOf(3, 2, () => 1);
      bad.data[3] = value;
      expect(() => svd(bad)).toThrow(`svd: matrix[1, 1] is ${value}; it must be finite`);
    }
    expect(memoryInfo().usedBytes).toBe(0);
  });
});
