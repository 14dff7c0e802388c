import { describe, expect, it } from "vitest";
import { eigh, matmul, memoryInfo, tensor } from "../../src/index.js";
import {
  distanceFromOrthogonal,
  type Matrix,
  matrixOf,
  relativeDifference,
  scaleColumns,
  symmetricOf,
  tridiagonalOf,
  withSpectrum,
} from "../support/matrices.js";
import { bits, random } from "../support/numbers.js";

/** Residual ‖A·V − V·Λ‖ against the largest eigenvalue, distance of V from orthogonal, and the shape of the result. */
function check(a: Matrix): void {
  const [n] = a.shape;
  const { values, vectors } = eigh(a);
  expect(values.every((value, i) => i === 0 || value >= values[i - 1])).toBe(true);
  // Both sides are brought near 1, so that the products do not overflow.
  const size = a.data.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
  const scaled = { data: a.data.map((value) => value / size), shape: a.shape };
  const left = matmul(scaled, vectors).data;
  const right = scaleColumns(vectors, (j) => values[j] / size).data;
  const norm = Math.max(1, ...values.map((value) => Math.abs(value / size)));
  expect(Math.max(...left.map((value, i) => Math.abs(value - right[i]))) / norm).toBeLessThan(1e-14 * Math.sqrt(n));
  expect(distanceFromOrthogonal(vectors)).toBeLessThan(3e-15 * Math.sqrt(n));
}

function randomSymmetric(n: number, seed = n): Matrix {
  const next = random(seed);
  return symmetricOf(n, () => next());
}

/** 10 to the power of 15 at the one end of a matrix of n to the other. */
const graded = (n: number, i: number, digits = 15) => 10 ** ((-digits * i) / n);

const hard: Record<string, (n: number) => Matrix> = {
  zero: (n) => symmetricOf(n, () => 0),
  identity: (n) => symmetricOf(n, (i, j) => (i === j ? 1 : 0)),
  "diagonal, descending": (n) => symmetricOf(n, (i, j) => (i === j ? n - i : 0)),
  "diagonal, repeated": (n) => symmetricOf(n, (i, j) => (i === j ? (i % 3) - 1 : 0)),
  "rank 1": (n) => symmetricOf(n, () => 1),
  "rank 1 on the identity": (n) => symmetricOf(n, (i, j) => 1 + (i === j ? 1e-13 : 0)),
  "blocks of ones": (n) => symmetricOf(n, (i, j) => (i >> 2 === j >> 2 ? 1 : 0)),
  "second difference": (n) =>
    tridiagonalOf(
      n,
      () => 2,
      () => -1,
    ),
  wilkinson: (n) =>
    tridiagonalOf(
      n,
      (i) => Math.abs(i - (n - 1) / 2),
      () => 1,
    ),
  "wilkinson, glued": (n) =>
    tridiagonalOf(
      n,
      (i) => Math.abs((i % 21) - 10),
      (j) => (j % 21 === 20 ? 1e-8 : 1),
    ),
  clement: (n) =>
    tridiagonalOf(
      n,
      () => 0,
      (j) => Math.sqrt((j + 1) * (n - 1 - j)),
    ),
  arrow: (n) => symmetricOf(n, (i, j) => (i === j ? i / n : i === n - 1 ? 1 : 0)),
  hilbert: (n) => symmetricOf(n, (i, j) => 1 / (i + j + 1)),
  "graded down": (n) => symmetricOf(n, (i, j) => Math.sin(i * n + j) * graded(n, i + j)),
  "graded up": (n) => symmetricOf(n, (i, j) => Math.sin(i * n + j) * graded(n, 2 * n - i - j)),
  "graded over 300 orders": (n) => symmetricOf(n, (i, j) => Math.sin(i * n + j) * graded(n, i + j, 150)),
  "two clusters": (n) => withSpectrum(n, (k) => (k < n / 2 ? 1 : 1 + 1e-10 * k)),
  "1 and -1": (n) => withSpectrum(n, (k) => (k % 2 ? 1 : -1)),
  "half rank": (n) => withSpectrum(n, (k) => (k < n / 2 ? 0 : k)),
  "ill-conditioned": (n) => withSpectrum(n, (k) => graded(n, k, 16)),
  tiny: (n) => symmetricOf(n, (i, j) => Math.sin(i * n + j) * 1e-300),
  huge: (n) => symmetricOf(n, (i, j) => Math.sin(i * n + j) * 1e304),
  "1 among almost nothing": (n) => symmetricOf(n, (i, j) => (i === 0 ? 1 : Math.sin(i * n + j) * 1e-200)),
};

describe("eigh", () => {
  it.each([1, 2, 3, 4, 5, 8, 17, 31, 32, 33, 64, 65, 127, 300])("decomposes a random matrix of %i", (n) => {
    check(randomSymmetric(n));
  });

  it.each(Object.entries(hard))("decomposes: %s", (_, make) => {
    for (const n of [2, 5, 33, 100]) check(make(n));
  });

  it("agrees with known eigenvalues", () => {
    const n = 90;
    const { values } = eigh(hard["second difference"](n));
    const known = Float64Array.from({ length: n }, (_, k) => 4 * Math.sin(((k + 1) * Math.PI) / (2 * (n + 1))) ** 2);
    expect(relativeDifference(values, known)).toBeLessThan(1e-14);
    const clement = eigh(hard.clement(n)).values;
    expect(
      relativeDifference(
        clement,
        clement.map((_, k) => 2 * k - n + 1),
      ),
    ).toBeLessThan(1e-14);
  });

  it("keeps eigenvalues of any scale", () => {
    const a = randomSymmetric(40);
    const { values, vectors } = eigh(a);
    for (const power of [-1000, -500, 500, 1000]) {
      const scaled = eigh({ data: a.data.map((value) => value * 2 ** power), shape: a.shape });
      expect(bits(scaled.values)).toBe(bits(values.map((value) => value * 2 ** power)));
      expect(bits(scaled.vectors.data)).toBe(bits(vectors.data));
    }
  });

  it("makes the first of the largest elements of each vector positive", () => {
    const { vectors } = eigh(randomSymmetric(20));
    for (let j = 0; j < 20; j++) {
      const column = vectors.data.filter((_, i) => i % 20 === j);
      const largest = Math.max(...column.map(Math.abs));
      expect(column.find((value) => Math.abs(value) > largest * (1 - 1e-8))).toBeGreaterThan(0);
    }
    const root = Math.SQRT1_2;
    const { values, vectors: two } = eigh({ data: new Float64Array([2, 1, 1, 2]), shape: [2, 2] });
    expect(relativeDifference(values, [1, 3])).toBeLessThan(1e-15);
    expect(relativeDifference(two.data, [root, root, -root, root])).toBeLessThan(1e-15);
  });

  it("has the same bits for heap arrays, tensors and f32, and leaves the input and the memory as they were", () => {
    const rounded = { data: Float32Array.from(randomSymmetric(50).data), shape: [50, 50] };
    const wide = { data: Float64Array.from(rounded.data), shape: [50, 50] };
    const before = bits(wide.data);
    const want = eigh(wide);
    const linear = tensor([50, 50], { data: wide.data });
    for (const got of [eigh(rounded), eigh(linear), eigh({ data: wide.data, dims: [50, 50] })]) {
      expect(bits(got.values)).toBe(bits(want.values));
      expect(bits(got.vectors.data)).toBe(bits(want.vectors.data));
    }
    expect(bits(wide.data)).toBe(before);
    expect(bits(linear.data)).toBe(before);
    linear.dispose();
    expect(memoryInfo().usedBytes).toBe(0);
  });

  it("reads the lower triangle of a matrix that is symmetric to rounding", () => {
    const a = symmetricOf(4, (i, j) => i + j);
    const slightly = { data: a.data.slice(), shape: a.shape };
    slightly.data[1] += 1e-12;
    expect(bits(eigh(slightly).values)).toBe(bits(eigh(a).values));
    const rounded = { data: Float32Array.from(a.data), shape: a.shape };
    rounded.data[1] += 1e-5;
    expect(bits(eigh(rounded).values)).toBe(bits(eigh(a).values));
  });

  it("names what does not fit", () => {
    const a = matrixOf(3, 3, (i, j) => i + 2 * j);
    expect(() => eigh(a)).toThrow("eigh: matrix must be symmetric, but matrix[2, 0] is 2 and matrix[0, 2] is 4; pass");
    expect(() => eigh({ data: a.data, shape: [9] })).toThrow("eigh: matrix must be square [n, n], got shape [9]");
    expect(() => eigh(matrixOf(2, 3, () => 0))).toThrow("matrix must be square [n, n], got shape [2, 3]");
    expect(() => eigh({ data: new Float64Array(0), shape: [0, 0] })).toThrow("matrix has no elements");
    for (const value of [Number.NaN, Infinity, -Infinity]) {
      const bad = symmetricOf(3, () => 1);
      bad.data[5] = value;
      expect(() => eigh(bad)).toThrow(`eigh: matrix[1, 2] is ${value}; it must be finite`);
    }
    expect(memoryInfo().usedBytes).toBe(0);
  });
});
