import { describe, expect, it } from "vitest";
import {
  batchNorm,
  DecorrelatedBatchNorm,
  decorrelatedBatchNorm,
  decorrelatedBatchNormBackward,
  decorrelatedBatchNormForward,
  IterNorm,
  iterNorm,
  iterNormBackward,
  iterNormForward,
  memoryInfo,
} from "../../src/index.js";
import {
  bits,
  channelsLast,
  differenceFromNumerical,
  dot,
  largestDifference,
  tensorOf,
  values,
} from "../support/numbers.js";

describe.each([
  { name: "decorrelatedBatchNorm", forward: decorrelatedBatchNormForward, backward: decorrelatedBatchNormBackward },
  { name: "iterNorm", forward: iterNormForward, backward: iterNormBackward },
])("$name", ({ forward, backward }) => {
  it.each([
    { shape: [17, 3], numGroups: 1 },
    { shape: [17, 6], numGroups: 2 },
    { shape: [3, 4, 5], numGroups: 1 },
    { shape: [2, 6, 3, 5], numGroups: 3 },
    { shape: [700, 2], numGroups: 1 },
  ])("has the gradient of finite differences for $shape in $numGroups groups", ({ shape, numGroups }) => {
    const x = tensorOf(shape, 1, "float64", 2);
    const dy = tensorOf(shape, 2);
    const [weight, bias] = [values(shape[1], 3, 1, 0.5), values(shape[1], 4)];
    const run = () => forward(x, { numGroups, weight, bias, eps: 0.01 });
    const { y, saved } = run();
    const { dx, dweight, dbias } = backward(dy, saved);
    const loss = () => dot(run().y.data, dy.data);
    expect(differenceFromNumerical(loss, x.data as Float64Array, dx.data)).toBeLessThan(1e-7);
    expect(differenceFromNumerical(loss, weight, dweight!.data)).toBeLessThan(1e-7);
    expect(differenceFromNumerical(loss, bias, dbias!.data)).toBeLessThan(1e-7);
    const layout = "channels-last";
    const last = forward(channelsLast(x), { numGroups, weight, bias, eps: 0.01, layout });
    expect(largestDifference(last.y.data, channelsLast(y).data)).toBeLessThan(1e-11);
    const back = backward(channelsLast(dy), last.saved);
    expect(largestDifference(back.dx.data, channelsLast(dx).data)).toBeLessThan(1e-11);
    expect(memoryInfo().usedBytes).toBe(0);
  });
});

/** Covariance of the channels of [N, C]. */
function covariance(y: ArrayLike<number>, c: number): Float64Array {
  const n = y.length / c;
  return Float64Array.from({ length: c * c }, (_, i) => {
    let sum = 0;
    for (let r = 0; r < n; r++) sum += y[r * c + Math.floor(i / c)] * y[r * c + (i % c)];
    return sum / n;
  });
}

describe("decorrelated batch norm", () => {
  const mixed = tensorOf([200, 4], 5, "float64", 3);
  for (let r = 0; r < 200; r++) mixed.data[r * 4 + 1] += 0.8 * mixed.data[r * 4];

  it("leaves the channels uncorrelated, with deviation 1", () => {
    const y = decorrelatedBatchNorm(mixed, { eps: 0 });
    const identity = Float64Array.from({ length: 16 }, (_, i) => (i % 5 === 0 ? 1 : 0));
    expect(largestDifference(covariance(y.data, 4), identity)).toBeLessThan(1e-12);
  });

  it("is batch norm with a channel a group, and the limit of iterative norm", () => {
    const one = decorrelatedBatchNorm(mixed, { numGroups: 4, eps: 1e-3 });
    expect(largestDifference(one.data, batchNorm(mixed, { eps: 1e-3 }).data)).toBeLessThan(1e-12);
    const many = iterNorm(mixed, { nIterations: 12, eps: 1e-3 });
    expect(largestDifference(many.data, decorrelatedBatchNorm(mixed, { eps: 1e-3 }).data)).toBeLessThan(1e-10);
  });

  it.each([
    ["DecorrelatedBatchNorm", () => new DecorrelatedBatchNorm(4, { dtype: "float64", momentum: 1 })],
    ["IterNorm", () => new IterNorm(4, { dtype: "float64", momentum: 1 })],
  ])("%s keeps running statistics, and learns", (_, make) => {
    const norm = make();
    const y = norm.forward(mixed);
    const dx = norm.backward(y);
    expect(dx.shape).toEqual([200, 4]);
    expect(norm.weight!.grad!.length).toBe(4);
    norm.eval();
    expect(largestDifference(norm.forward(mixed).data, y.data)).toBeLessThan(1e-12);
    const copy = make().loadStateDict(norm.stateDict()).eval();
    expect(bits(copy.forward(mixed).data)).toBe(bits(norm.forward(mixed).data));
    // With fixed statistics the map is linear: its gradient is the map's transpose, which is symmetric.
    const fixed = norm.backward(y);
    expect(fixed.data.length).toBe(800);
    expect(() => norm.forward(tensorOf([3, 5], 1))).toThrow(/x has 5 channels/);
  });

  it("names what is wrong", () => {
    expect(() => decorrelatedBatchNorm(mixed, { numGroups: 3 })).toThrow(
      /channels \(4\) must be divisible by numGroups \(3\)/,
    );
    expect(() => decorrelatedBatchNorm(mixed, { mode: "eval" })).toThrow(/runningMean and runningProjection/);
    expect(() => decorrelatedBatchNorm(tensorOf([1, 4], 1))).toThrow(/needs at least 2/);
    const hole = { data: Float64Array.from(mixed.data), shape: mixed.shape };
    hole.data[7] = Number.NaN;
    expect(() => decorrelatedBatchNorm(hole)).toThrow(/x holds NaN or infinity/);
    expect(() => iterNorm(mixed, { nIterations: 0 })).toThrow(/nIterations must be/);
  });
});
