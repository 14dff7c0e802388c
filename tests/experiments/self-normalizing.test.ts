/**
 * Networks that keep their activations near mean 0 and variance 1 by construction, without statistics: through 32
 * layers SELU with weights of variance 1/n (Klambauer et al. 2017, arXiv:1706.02515), which also draws activations that
 * start elsewhere to (0, 1); for the first ten layers normalization propagation (Arpit et al. 2016, arXiv:1603.01431),
 * whose assumption of uncorrelated units holds less and less. ReLU and tanh with the same weights lose the signal.
 */
import { describe, expect, it } from "vitest";
import { lecunNormal, matmul, normPropLinear, selu, type Tensor } from "../../src/index.js";
import { meanOf, normalMatrix, varianceOf } from "../support/statistics.js";

const [samples, width, depth] = [100, 200, 32];
const weights = Array.from({ length: depth }, (_, seed) => lecunNormal([width, width], { seed, dtype: "float64" }));
const each =
  (f: (x: number) => number) =>
  ({ data, shape }: Tensor): Tensor => ({ data: (data as Float64Array).map(f), shape });
const linear = (x: Tensor, layer: number) => matmul(x, weights[layer], { transposeB: true });

/** Mean and variance of all activations after each layer. */
function propagate(start: Tensor, layer: (x: Tensor, index: number) => Tensor) {
  let x = start;
  return weights.map((_, i) => {
    x = layer(x, i);
    return { mean: meanOf(x.data), variance: varianceOf(x.data) };
  });
}

const standard = normalMatrix(samples, width, 1);

it("SELU keeps mean 0 and variance 1 through 32 layers", () => {
  for (const { mean, variance } of propagate(standard, (x, i) => selu(linear(x, i)))) {
    expect(Math.abs(mean)).toBeLessThan(0.1);
    expect(Math.abs(variance - 1)).toBeLessThan(0.3);
  }
});

describe.each([
  [0.5, 1.2],
  [-0.2, 0.7],
])("from mean %f and deviation %f", (mean, deviation) => {
  it("SELU comes back to them", () => {
    const found = propagate(normalMatrix(samples, width, 2, mean, deviation), (x, i) => selu(linear(x, i)));
    expect(Math.abs(found[depth - 1].mean)).toBeLessThan(0.1);
    expect(Math.abs(found[depth - 1].variance - 1)).toBeLessThan(0.3);
  });
});

it("ReLU and tanh with these weights lose the signal", () => {
  expect(propagate(standard, (x, i) => each((v) => Math.max(v, 0))(linear(x, i)))[depth - 1].variance).toBeLessThan(
    1e-6,
  );
  expect(propagate(standard, (x, i) => each(Math.tanh)(linear(x, i)))[depth - 1].variance).toBeLessThan(0.1);
});

describe("normalization propagation", () => {
  const gamma = new Float64Array(width).fill(1);

  it("keeps them for ten layers with gamma 1, until the correlations that it takes for 0 add up", () => {
    const found = propagate(standard, (x, i) => normPropLinear(x, weights[i], { gamma }));
    for (const { mean, variance } of found.slice(0, 10)) {
      expect(Math.abs(mean)).toBeLessThan(0.1);
      expect(Math.abs(variance - 1)).toBeLessThan(0.2);
    }
    expect(found[depth - 1].variance).toBeGreaterThan(1.5);
  });

  it("lets the variance settle lower with the gamma that keeps gradients, 1/1.21", () => {
    const found = propagate(standard, (x, i) => normPropLinear(x, weights[i]));
    for (const { variance } of found.slice(8)) {
      expect(variance).toBeGreaterThan(0.1);
      expect(variance).toBeLessThan(0.4);
    }
  });
});
