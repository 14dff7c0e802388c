/**
 * Why the gradient has to go through the statistics (Ioffe and Szegedy 2015, arXiv:1502.03167, section 2): where a
 * layer adds a bias b and the mean is subtracted behind it, a gradient that takes the mean for a constant moves b at
 * every step, while neither the output nor the loss changes, so b grows without bound. The full gradient leaves b where
 * it is.
 */
import { describe, expect, it } from "vitest";
import { batchNormBackward, batchNormForward, type Tensor } from "../../src/index.js";
import { largestDifference, tensorOf, values } from "../support/numbers.js";
import { columnOf, meanOf, varianceOf } from "../support/statistics.js";

const [rows, units] = [32, 3];
const u = tensorOf([rows, units], 1);
// The wish for outputs around 1, which no centered output can grant.
const target = values(rows * units, 2, 1);
const withBias = (b: Float64Array): Tensor => ({
  data: u.data.map((value, i) => value + b[i % units]),
  shape: u.shape,
});
const loss = (y: Tensor) => meanOf(y.data.map((value, i) => 0.5 * (value - target[i]) ** 2));
const lossGradient = (y: Tensor): Tensor => ({
  data: y.data.map((value, i) => (value - target[i]) / y.data.length),
  shape: y.shape,
});

/** Normalized by the batch; the way back takes the statistics for constants, or not. */
function step(x: Tensor, statistics: "constant" | "learned") {
  const options = { eps: 0 };
  if (statistics === "learned") return batchNormForward(x, options);
  const columns = [0, 1, 2].map((unit) => columnOf(x, unit));
  const [runningMean, runningVar] = [columns.map(meanOf), columns.map((column) => varianceOf(column))];
  return batchNormForward(x, { ...options, mode: "eval", runningMean, runningVar });
}

/** The bias, the loss and the output after each of so many steps of gradient descent on the bias. */
function descend(statistics: "constant" | "learned", steps: number) {
  const b = new Float64Array(units);
  const history: { b: Float64Array; loss: number; y: Tensor }[] = [];
  for (let i = 0; i < steps; i++) {
    const { y, saved } = step(withBias(b), statistics);
    history.push({ b: b.slice(), loss: loss(y), y });
    const { dx } = batchNormBackward(lossGradient(y), saved);
    for (let unit = 0; unit < units; unit++) b[unit] -= columnOf(dx, unit).reduce((sum, value) => sum + value, 0);
  }
  return history;
}

describe("gradient descent on a bias in front of a normalization", () => {
  const naive = descend("constant", 400);
  const full = descend("learned", 400);

  it("moves it for ever where the statistics count as constants, by the same step each time", () => {
    for (let unit = 0; unit < units; unit++) {
      const stepLength = naive[1].b[unit];
      expect(stepLength).toBeGreaterThan(0.1);
      expect(naive[399].b[unit] / (399 * stepLength)).toBeCloseTo(1, 10);
    }
  });

  it("to no avail: neither the output nor the loss changes", () => {
    expect(naive[399].loss).toBeCloseTo(naive[0].loss, 12);
    expect(largestDifference(naive[399].y.data, naive[0].y.data)).toBeLessThan(1e-12);
  });

  it("leaves it alone with the full gradient", () => {
    expect(Math.max(...full[399].b.map(Math.abs))).toBeLessThan(1e-13);
    expect(full[399].loss).toBeCloseTo(full[0].loss, 12);
  });
});

it("the two gradients differ by their mean and their part along the output", () => {
  const dy = tensorOf([rows, units], 3);
  const naive = step(u, "constant");
  const full = step(u, "learned");
  expect(largestDifference(naive.y.data, full.y.data)).toBeLessThan(1e-13);
  const [constant, learned] = [batchNormBackward(dy, naive.saved).dx, batchNormBackward(dy, full.saved).dx];
  for (let unit = 0; unit < units; unit++) {
    const [g, y] = [columnOf(constant, unit), columnOf(full.y, unit)];
    const along = meanOf(g.map((value, i) => value * y[i]));
    const want = g.map((value, i) => value - meanOf(g) - y[i] * along);
    expect(largestDifference(columnOf(learned, unit), want)).toBeLessThan(1e-14);
    expect(varianceOf(want)).toBeLessThan(varianceOf(g));
  }
});
