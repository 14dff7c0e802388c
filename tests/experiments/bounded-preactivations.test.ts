/**
 * Cosine normalization bounds what reaches a unit: the variance of w·x grows with the number and the size of the
 * inputs, that of the cosine of the angle between them cannot exceed 1 and falls with the number of inputs (Luo, Zhan,
 * Wang and Yang 2017, arXiv:1702.05870). Centered, it is Pearson's correlation.
 */
import { describe, expect, it } from "vitest";
import { cosineLinear, matmul } from "../../src/index.js";
import { largestDifference } from "../support/numbers.js";
import { lineThrough, normalMatrix, varianceOf } from "../support/statistics.js";

const inputsOf = (features: number, scale: number, mean = 0) => normalMatrix(200, features, 1, mean, scale);
const weightsOf = (features: number) => normalMatrix(20, features, 2);

describe.each([4, 32, 256])("with %i inputs", (features) => {
  const x = inputsOf(features, 1);
  const w = weightsOf(features);

  it("dot products have a variance of the number of inputs, cosines of one over it", () => {
    const dots = varianceOf(matmul(x, w, { transposeB: true }).data);
    const cosines = varianceOf(cosineLinear(x, w).data);
    // 20 weights: a part of √(2/20) of the variance, twice over.
    expect(Math.abs(dots / features - 1)).toBeLessThan(0.7);
    expect(Math.abs(cosines * features - 1)).toBeLessThan(0.3);
  });

  it("the size of the inputs enters the dot product squared, and the cosine not at all", () => {
    const large = inputsOf(features, 10);
    const ratio =
      varianceOf(matmul(large, w, { transposeB: true }).data) / varianceOf(matmul(x, w, { transposeB: true }).data);
    expect(ratio).toBeCloseTo(100, 9);
    const cosines = cosineLinear(large, w).data;
    expect(largestDifference(cosines, cosineLinear(x, w).data)).toBeLessThan(1e-13);
    for (const value of cosines) expect(Math.abs(value)).toBeLessThanOrEqual(1 + 1e-15);
  });

  it("centered, it is the correlation, which a shift of the inputs does not change either", () => {
    const shifted = inputsOf(features, 1, 7);
    const y = cosineLinear(shifted, w, { centered: true });
    const row = (from: { data: Float64Array }, at: number) => from.data.subarray(at * features, (at + 1) * features);
    for (const [sample, unit] of [
      [0, 0],
      [17, 3],
      [199, 19],
    ]) {
      const { correlation } = lineThrough(row(shifted, sample), row(w, unit));
      expect(y.data[sample * 20 + unit]).toBeCloseTo(correlation, 13);
    }
    expect(largestDifference(y.data, cosineLinear(x, w, { centered: true }).data)).toBeLessThan(1e-12);
  });
});
