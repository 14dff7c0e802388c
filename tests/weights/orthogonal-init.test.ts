import { expect, it } from "vitest";
import { normalValues, readSeed } from "../../src/core/random.js";
import { matmul, orthogonal } from "../../src/index.js";
import { bits, largestDifference } from "../support/numbers.js";

it.each([[[1, 1]], [[3, 5]], [[17, 4]], [[31, 31]], [[8, 3, 3, 3]], [[127, 2, 2]]])(
  "a weight %j is orthogonal",
  (shape) => {
    const { data } = orthogonal(shape, { gain: 1.5, dtype: "float64", seed: 3 });
    const columns = data.length / shape[0];
    const wide = shape[0] <= columns;
    const matrix = { data, shape: [shape[0], columns] };
    const product = matmul(matrix, matrix, { transposeA: !wide, transposeB: wide }).data;
    const size = Math.min(shape[0], columns);
    const want = Float64Array.from({ length: size * size }, (_, i) => (i % (size + 1) === 0 ? 2.25 : 0));
    expect(largestDifference(product, want)).toBeLessThan(1e-13);
  },
);

it.each([
  [1, 3],
  [5, 5],
  [60, 60],
  [30, 71],
])("is what Gram and Schmidt make of normal numbers, from the last row up: %i of %i", (rows, n) => {
  const x = normalValues(rows * n, "float64", readSeed("test", 7)) as Float64Array;
  const row = (i: number) => x.subarray(i * n, (i + 1) * n);
  const dot = (a: Float64Array, b: Float64Array) => a.reduce((sum, value, i) => sum + value * b[i], 0);
  for (let i = rows - 1; i >= 0; i--) {
    // Twice: what is left of the first time is of the size of its rounding.
    for (let turn = 0; turn < 2; turn++) {
      for (let other = i + 1; other < rows; other++) {
        const along = dot(row(i), row(other));
        row(other).forEach((value, j) => {
          row(i)[j] -= along * value;
        });
      }
    }
    const length = Math.sqrt(dot(row(i), row(i)));
    row(i).forEach((value, j) => {
      row(i)[j] = value / length;
    });
  }
  // The condition of the matrix, up to a few hundred here, times the rounding of f64.
  expect(largestDifference(orthogonal([rows, n], { seed: 7, dtype: "float64" }).data, x)).toBeLessThan(1e-12);
  if (rows === n) return;
  const tall = orthogonal([n, rows], { seed: 7, dtype: "float64" }).data;
  expect(
    largestDifference(
      tall,
      x.map((_, i) => x[(i % rows) * n + Math.floor(i / rows)]),
    ),
  ).toBeLessThan(1e-12);
});

it("is drawn evenly: entries have variance 1/columns, and each seed gives its own", () => {
  const w = orthogonal([40, 60], { seed: 1 });
  expect(w.data).toBeInstanceOf(Float32Array);
  const half = Array.from(w.data.slice(0, 1200)).reduce((sum, value) => sum + value * value, 0) / 1200;
  expect(half * 60).toBeCloseTo(1, 1);
  expect(bits(orthogonal([40, 60], { seed: 1 }).data)).toBe(bits(w.data));
  expect(bits(orthogonal([40, 60], { seed: 2 }).data)).not.toBe(bits(w.data));
  const sum = Array.from({ length: 200 }, (_, seed) => orthogonal([2, 2], { seed }).data[0]).reduce((a, b) => a + b, 0);
  expect(Math.abs(sum / 200)).toBeLessThan(0.2);
});

it("names what does not fit", () => {
  expect(() => orthogonal([3])).toThrow(/shape must have at least two dimensions, got \[3\]/);
  expect(() => orthogonal([3, 0])).toThrow(/shape must hold whole numbers of at least 1/);
  expect(() => orthogonal([3, 3], { gain: -1 })).toThrow(/gain must be/);
  expect(() => orthogonal([3, 3], { seed: 1.5 })).toThrow(/seed must be/);
});
