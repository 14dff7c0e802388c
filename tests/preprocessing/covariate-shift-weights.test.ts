import { describe, expect, it } from "vitest";
import { normalValues, readSeed } from "../../src/core/random.js";
import { covariateShiftWeights, memoryInfo, StandardScaler, tensor } from "../../src/index.js";
import { bits, largestDifference, tensorOf } from "../support/numbers.js";

const normal = (rows: number, n: number, seed: number, mean: number) => ({
  data: normalValues(rows * n, "float64", readSeed("test", seed), { mean }) as Float64Array,
  shape: [rows, n],
});

/** The penalized loss over standardized features, from raw coefficients. */
function lossOf(
  source: { data: ArrayLike<number>; shape: number[] },
  target: { data: ArrayLike<number>; shape: number[] },
  coefficients: ArrayLike<number>,
  intercept: number,
  l2: number,
) {
  const n = source.shape[1];
  let loss = 0;
  const columns = Array.from({ length: n }, () => [] as number[]);
  for (const [label, { data, shape }] of [source, target].entries()) {
    for (let i = 0; i < shape[0]; i++) {
      let odds = intercept;
      for (let j = 0; j < n; j++) {
        odds += coefficients[j] * data[i * n + j];
        columns[j].push(data[i * n + j]);
      }
      loss += Math.log1p(Math.exp(-Math.abs(odds))) + Math.max(odds, 0) - label * odds;
    }
  }
  columns.forEach((column, j) => {
    const mean = column.reduce((a, b) => a + b, 0) / column.length;
    const variance = column.reduce((sum, value) => sum + (value - mean) ** 2, 0) / column.length;
    loss += 0.5 * l2 * coefficients[j] ** 2 * variance;
  });
  return loss;
}

describe("covariate shift weights", () => {
  it("give a sample of one normal distribution the moments of another", () => {
    const [source, target] = [normal(4000, 2, 1, 0), normal(3000, 2, 2, 0.7)];
    const { weights } = covariateShiftWeights(source, target);
    const scaler = new StandardScaler().fit(source, { sampleWeight: weights });
    const want = new StandardScaler().fit(target);
    expect(largestDifference(scaler.mean!, want.mean!)).toBeLessThan(0.1);
    expect(largestDifference(scaler.variance!, want.variance!)).toBeLessThan(0.15);
    expect(weights.reduce((a, b) => a + b, 0) / 4000).toBeCloseTo(1, 1);
    // The exact ratio of the two densities, where there is data.
    for (let i = 0; i < 200; i++) {
      const [a, b] = source.data.slice(2 * i, 2 * i + 2);
      const ratio = Math.exp(0.7 * (a + b) - 0.49);
      if (ratio < 3) expect(Math.abs(weights[i] - ratio)).toBeLessThan(0.4);
    }
  });

  it("come from the classifier of the least loss", () => {
    const source = tensorOf([40, 3], 1, "float64", 5, 2);
    const target = tensorOf([30, 3], 2, "float64", 5.5, 1.5);
    for (const l2 of [0.1, 1, 10]) {
      const { coefficients, intercept, weights } = covariateShiftWeights(source, target, { l2 });
      const least = lossOf(source, target, coefficients, intercept, l2);
      for (let j = 0; j < 4; j++) {
        for (const h of [-1e-3, 1e-3]) {
          const moved = coefficients.map((value, i) => value + (i === j ? h : 0));
          expect(lossOf(source, target, moved, intercept + (j === 3 ? h : 0), l2)).toBeGreaterThan(least);
        }
      }
      const odds = coefficients.reduce((sum, value, j) => sum + value * source.data[j], intercept);
      expect(weights[0]).toBeCloseTo((Math.exp(odds) * 40) / 30, 12);
    }
  });

  it("are 1 where the samples are the same, and are clipped", () => {
    const source = tensorOf([50, 2], 3);
    const { weights } = covariateShiftWeights(source, source);
    expect(largestDifference(weights, Array(50).fill(1))).toBeLessThan(1e-12);
    const shifted = covariateShiftWeights(normal(100, 1, 1, 0), normal(100, 1, 2, 2), { clip: 1.5 });
    expect(Math.max(...shifted.weights)).toBe(1.5);
  });

  it("take separable samples, constant features, lists, f32 and tensors", () => {
    const { weights } = covariateShiftWeights(
      [
        [0, 7],
        [1, 7],
      ],
      [
        [5, 7],
        [6, 7],
        [9, 7],
      ],
    );
    expect([...weights].every((value) => value > 0 && Number.isFinite(value))).toBe(true);
    const [source, target] = [tensorOf([9, 2], 1, "float32"), tensorOf([7, 2], 2, "float32")];
    const want = covariateShiftWeights(source, target);
    using linear = tensor([9, 2], { data: source.data });
    expect(bits(covariateShiftWeights(linear, target).weights)).toBe(bits(want.weights));
  });

  it("name what does not fit", () => {
    const source = [[1], [2]];
    expect(() => covariateShiftWeights(source, [[1, 2]])).toThrow(/target has 2 features where source has 1/);
    expect(() => covariateShiftWeights(source, [[Number.NaN], [1]])).toThrow(/target has NaN in column 0/);
    expect(() => covariateShiftWeights(source, [[3], [4]], { l2: -1 })).toThrow(/l2 must be/);
    expect(() => covariateShiftWeights(source, [[3], [4]], { clip: 0 })).toThrow(/clip must be above 0/);
    expect(() => covariateShiftWeights(source, [[30], [40]], { l2: 0 })).toThrow(/l2 must be a finite number above 0/);
    expect(() => covariateShiftWeights([], [[1]])).toThrow(/source has no elements/);
    expect(memoryInfo().usedBytes).toBe(0);
  });
});
