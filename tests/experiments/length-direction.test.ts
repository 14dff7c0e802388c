/**
 * Batch norm parts the length of a weight from its direction (Kohler et al. 2018, arXiv:1805.10694): for centered data
 * with covariance S, BN of uᵀx with weight g is that of the weight w = g·u/‖u‖_S, ‖u‖_S² = uᵀSu. For least squares the
 * best g can be written down, and what is left for u is −(uᵀb)²/(2·uᵀSu) with b = E[x·y], a Rayleigh quotient: gradient
 * descent on u has the direction of the least squares solution as its only minimum, which neither knows nor needs the
 * length of u.
 */
import { describe, expect, it } from "vitest";
import { batchNormBackward, batchNormForward, matmul, StandardScaler } from "../../src/index.js";
import { dot, largestDifference, tensorOf, values } from "../support/numbers.js";
import { lengthOf, meanOf } from "../support/statistics.js";

const [rows, features] = [200, 5];
const mixing = tensorOf([features, features], 2, "float64", 0, 0.5);
for (let i = 0; i < features; i++) mixing.data[i * features + i] += 2;
const mixed = matmul(tensorOf([rows, features], 1), mixing);
const x = new StandardScaler({ withStd: false }).fit(mixed).transform(mixed);
const teacher = values(features, 3);
const noise = values(rows, 4, 0, 0.3);
const linear = (u: ArrayLike<number>) => matmul(x, { data: Float64Array.from(u), shape: [features, 1] });
const y = linear(teacher).data.map((value, i) => value + noise[i]);
const targets = (() => {
  const mean = meanOf(y);
  return Float64Array.from(y, (value) => value - mean);
})();
const covariance = matmul(x, x, { transposeA: true }).data.map((value) => value / rows);
const b = matmul(x, { data: targets, shape: [rows, 1] }, { transposeA: true }).data.map((value) => value / rows);
const timesS = (u: ArrayLike<number>) =>
  matmul({ data: covariance, shape: [features, features] }, { data: Float64Array.from(u), shape: [features, 1] }).data;
const lengthS = (u: ArrayLike<number>) => Math.sqrt(dot(u, timesS(u)));

/** ½·mean((g·BN(uᵀx) − y)²) and its gradients, by the package. */
function loss(u: Float64Array, g: number) {
  const { y: output, saved } = batchNormForward(linear(u), { weight: [g], eps: 0 });
  const residual = output.data.map((value, i) => value - targets[i]);
  const { dx, dweight } = batchNormBackward({ data: residual.map((r) => r / rows), shape: [rows, 1] }, saved);
  return {
    loss: 0.5 * meanOf(residual.map((r) => r * r)),
    du: matmul(x, dx, { transposeA: true }).data,
    dg: dweight!.data[0],
    output: output.data,
  };
}

const quotient = (u: ArrayLike<number>) => dot(u, b) ** 2 / dot(u, timesS(u));
const bestLength = (u: ArrayLike<number>) => dot(u, b) / lengthS(u);
const energy = 0.5 * meanOf(targets.map((value) => value * value));

it("batch norm of a linear unit is the unit with weight g·u/‖u‖_S", () => {
  const u = values(features, 5);
  const w = u.map((value) => (2.5 * value) / lengthS(u));
  expect(largestDifference(loss(u, 2.5).output, linear(w).data)).toBeLessThan(1e-13);
  expect(lengthS(w)).toBeCloseTo(2.5, 13);
});

describe("for least squares", () => {
  it("at the best length the loss is ½E[y²] − (uᵀb)²/(2·uᵀSu), and its gradient that of the quotient", () => {
    for (const seed of [5, 6, 7]) {
      const u = values(features, seed);
      const found = loss(u, bestLength(u));
      expect(Math.abs(found.dg)).toBeLessThan(1e-13);
      expect(found.loss).toBeCloseTo(energy - 0.5 * quotient(u), 13);
      const su = timesS(u);
      const share = dot(u, b) / dot(u, su);
      const want = u.map((_, i) => -share * (b[i] - share * su[i]));
      expect(largestDifference(found.du, want)).toBeLessThan(1e-13);
    }
  });

  it("descent on the direction, the length always best, finds the solution S⁻¹b", () => {
    let u = values(features, 8);
    // A bound of the largest eigenvalue of S: the trace.
    const bound = Array.from({ length: features }, (_, i) => covariance[i * (features + 1)]).reduce(
      (sum, v) => sum + v,
      0,
    );
    for (let step = 0; step < 400; step++) {
      const { du } = loss(u, bestLength(u));
      const share = dot(u, b) / dot(u, timesS(u));
      u = u.map((value, i) => value - du[i] / (share * share * bound));
    }
    const w = u.map((value) => (bestLength(u) * value) / lengthS(u));
    // The normal equations: S·w = b.
    expect(largestDifference(timesS(w), b)).toBeLessThan(1e-6 * lengthOf(b));
    for (const seed of [11, 12, 13]) expect(quotient(values(features, seed))).toBeLessThan(quotient(u));
  });

  it("neither loss nor direction depends on the length of u, whose gradient shrinks as it grows", () => {
    const u = values(features, 9);
    const scaled = u.map((value) => 10 * value);
    expect(loss(scaled, 1).loss).toBeCloseTo(loss(u, 1).loss, 14);
    expect(
      largestDifference(
        loss(scaled, 1).du.map((value) => 10 * value),
        loss(u, 1).du,
      ),
    ).toBeLessThan(1e-13);
  });
});
