/**
 * Updates of many layers at once act on each other (Goodfellow, Bengio and Courville, "Deep Learning", 2016, section
 * 8.7.1): in y = x·w₁·w₂·…·w_l a step of gradient descent changes y by its first-order prediction and by products of
 * the updates of two, three and more layers, which grow with the depth and the weights and may outweigh the prediction.
 * With batch norm behind the chain the lower layers cannot change mean and variance of the output at all.
 */
import { describe, expect, it } from "vitest";
import { batchNorm, type Tensor } from "../../src/index.js";
import { largestDifference, values } from "../support/numbers.js";
import { meanOf, normalMatrix, varianceOf } from "../support/statistics.js";

/** The predicted and the true change of y at x = 1 by a step on all weights of the chain at once. */
function stepOf(weights: Float64Array, rate: number) {
  const y = weights.reduce((product, value) => product * value, 1);
  const gradient = weights.map((value) => y / value);
  const after = weights.map((value, i) => value - rate * gradient[i]).reduce((product, value) => product * value, 1);
  return { predicted: -rate * gradient.reduce((sum, value) => sum + value * value, 0), real: after - y };
}

describe("in a chain of linear layers", () => {
  const error = (depth: number, size: number, rate: number) => {
    const { predicted, real } = stepOf(values(depth, 3, size, 0.1), rate);
    return Math.abs(real - predicted) / Math.abs(predicted);
  };

  it("the first-order prediction holds for small steps", () => {
    // What is left out is of second order: half the rate, half the relative error.
    expect(error(10, 1.2, 1e-6)).toBeLessThan(1e-3);
    expect(error(10, 1.2, 1e-6) / error(10, 1.2, 5e-7)).toBeCloseTo(2, 2);
  });

  it("the effects of higher order grow with depth and with the weights, up to the size of the prediction", () => {
    const byDepth = [2, 5, 10, 20].map((depth) => error(depth, 1.2, 1e-3));
    for (let i = 1; i < 4; i++) expect(byDepth[i]).toBeGreaterThan(2 * byDepth[i - 1]);
    const bySize = [0.8, 1, 1.2, 1.4].map((size) => error(10, size, 1e-3));
    for (let i = 1; i < 4; i++) expect(bySize[i]).toBeGreaterThan(2 * bySize[i - 1]);
    expect(error(20, 1.4, 1e-3)).toBeGreaterThan(0.8);
  });
});

describe("with batch norm behind the chain", () => {
  const x = normalMatrix(64, 1, 1, 2, 3);
  const through = (weights: ArrayLike<number>): Tensor => {
    const product = Array.from(weights).reduce((all, value) => all * value, 1);
    return { data: x.data.map((value) => value * product), shape: x.shape };
  };
  const weights = values(10, 3, 1.2, 0.1);

  it("no update of the lower layers changes the output, other than by its sign", () => {
    const y = batchNorm(through(weights), { eps: 0 });
    for (const seed of [4, 5, 6]) {
      const updated = weights.map((value, i) => value + values(10, seed)[i] * 0.5);
      const after = batchNorm(through(updated), { eps: 0 });
      expect(largestDifference(after.data, y.data)).toBeLessThan(1e-13);
      expect(Math.abs(meanOf(after.data))).toBeLessThan(1e-14);
      expect(varianceOf(after.data)).toBeCloseTo(1, 13);
    }
    const negated = weights.map((value, i) => (i === 0 ? -value : value));
    expect(
      largestDifference(
        batchNorm(through(negated), { eps: 0 }).data,
        y.data.map((v) => -v),
      ),
    ).toBeLessThan(1e-13);
  });

  it("the output's scale is a weight of its own, of first order", () => {
    const [one, two] = [1, 2].map((gamma) => batchNorm(through(weights), { weight: [gamma], eps: 0 }).data);
    expect(
      largestDifference(
        two,
        one.map((value: number) => 2 * value),
      ),
    ).toBeLessThan(1e-13);
  });
});
