/**
 * What input transforms do to gradient descent (LeCun, Bottou, Orr and Müller, "Efficient BackProp", 1998, section
 * 4.3): least squares has the Hessian XᵀX/n, and descent takes a number of steps that grows with its condition number.
 * Centering takes off the eigenvalue that the means make, standardization that of unequal scales, whitening brings the
 * number to 1, so that contours are spheres and one step is enough.
 */
import { describe, expect, it } from "vitest";
import {
  Centering,
  Decorrelation,
  MinMaxScaler,
  matmul,
  StandardScaler,
  type Tensor,
  Whitening,
} from "../../src/index.js";
import { eigh } from "../../src/linalg/eigh.js";
import { dot, largestDifference, values } from "../support/numbers.js";
import { normalMatrix } from "../support/statistics.js";

const [rows, features] = [400, 6];
/** Correlated features on scales from 1 to 14, around means that are larger. */
const x: Tensor = (() => {
  const mixing = normalMatrix(features, features, 2, 0, 0.3);
  for (let i = 0; i < features; i++) mixing.data[i * features + i] += 1;
  const data = matmul(normalMatrix(rows, features, 1), mixing).data as Float64Array;
  return { data: data.map((v, i) => 1.7 ** (i % features) * (v + 5)), shape: [rows, features] };
})();

const hessian = (from: Tensor): Tensor => {
  const product = matmul(from, from, { transposeA: true });
  return { data: (product.data as Float64Array).map((value) => value / rows), shape: product.shape };
};
const spectrum = (from: Tensor) => eigh(hessian(from)).values;
const condition = (from: Tensor) => spectrum(from)[features - 1] / spectrum(from)[0];

const transformed: Record<string, Tensor> = {
  raw: x,
  "rescaled to [-1, 1]": new MinMaxScaler({ featureRange: [-1, 1] }).fit(x).transform(x),
  centered: new Centering().fit(x).transform(x),
  standardized: new StandardScaler().fit(x).transform(x),
  decorrelated: new Decorrelation().fit(x).transform(x),
  "whitened (PCA)": new Whitening({ method: "pca" }).fit(x).transform(x),
  "whitened (ZCA)": new Whitening({ method: "zca" }).fit(x).transform(x),
};

/** Steps of gradient descent, at the best fixed rate, until ½‖X(w − w*)‖²/n is 1e-6 of what it was; at most 20,000. */
function steps(from: Tensor): number {
  const solution = values(features, 5);
  const s = hessian(from);
  const [smallest, largest] = [spectrum(from)[0], spectrum(from)[features - 1]];
  const rate = 2 / (smallest + largest);
  let error: Float64Array = solution.map((value) => -value);
  const apply = (e: Float64Array) => matmul(s, { data: e, shape: [features, 1] }).data;
  const start = dot(error, apply(error));
  for (let step = 1; step <= 20000; step++) {
    const gradient = apply(error);
    error = error.map((value, i) => value - rate * gradient[i]);
    if (dot(error, apply(error)) <= 1e-6 * start) return step;
  }
  return Number.POSITIVE_INFINITY;
}

describe("the condition number of XᵀX/n", () => {
  const number = Object.fromEntries(Object.entries(transformed).map(([name, data]) => [name, condition(data)]));

  it("falls with every part of whitening", () => {
    expect(number.raw).toBeGreaterThan(3 * number.centered);
    expect(number.centered).toBeGreaterThan(10 * number.standardized);
    expect(number.standardized).toBeGreaterThan(2);
    expect(number["rescaled to [-1, 1]"]).toBeLessThan(number.raw / 10);
  });

  it("is that of centered data after a rotation to their principal directions", () => {
    expect(number.decorrelated / number.centered).toBeCloseTo(1, 9);
    const covariance = hessian(transformed.decorrelated).data;
    const largest = Math.max(...covariance);
    covariance.forEach((value, i) => {
      if (i % (features + 1) !== 0) expect(Math.abs(value)).toBeLessThan(1e-12 * largest);
    });
  });

  it.each(["whitened (PCA)", "whitened (ZCA)"])("is 1 for data %s, whose covariance is the identity", (name) => {
    expect(number[name]).toBeCloseTo(1, 9);
    const identity = Float64Array.from({ length: features ** 2 }, (_, i) => (i % (features + 1) === 0 ? 1 : 0));
    expect(largestDifference(hessian(transformed[name]).data, identity)).toBeLessThan(1e-11);
  });
});

describe("gradient descent", () => {
  const count = Object.fromEntries(Object.entries(transformed).map(([name, data]) => [name, steps(data)]));

  it("takes fewer steps the better the data are conditioned, and one for whitened data", () => {
    expect([count["whitened (PCA)"], count["whitened (ZCA)"]]).toEqual([1, 1]);
    expect(count.standardized).toBeLessThan(200);
    expect(count.centered).toBeGreaterThan(5 * count.standardized);
    expect(count.raw).toBeGreaterThan(5 * count.centered);
  });

  it("takes no more than κ·ln(10⁶)/4 + 1 steps, as theory has it", () => {
    // Of the error, in this norm, at most ((κ − 1)/(κ + 1))² is left after a step.
    for (const [name, data] of Object.entries(transformed)) {
      const most = Math.log(1e6) / (2 * Math.log((condition(data) + 1) / (condition(data) - 1))) + 1;
      expect(count[name]).toBeLessThanOrEqual(Math.ceil(most));
    }
  });
});
