import { describe, expect, it } from "vitest";
import {
  BatchRenorm,
  batchNorm,
  batchRenorm,
  batchRenormBackward,
  batchRenormForward,
  memoryInfo,
  renormSchedule,
} from "../../src/index.js";
import { differenceFromNumerical, dot, largestDifference, tensorOf, values } from "../support/numbers.js";

const x = tensorOf([4, 3, 5], 1, "float64", 2);
const dy = tensorOf([4, 3, 5], 2);
const [weight, bias] = [values(3, 3, 1, 0.5), values(3, 4)];
const running = { runningMean: values(3, 5, 2, 0.3), runningStd: values(3, 6, 0.8, 0.2) };
const channel = (c: number) => Array.from({ length: 20 }, (_, i) => x.data[(Math.floor(i / 5) * 3 + c) * 5 + (i % 5)]);

describe("the correction", () => {
  it("without limits makes training give what inference gives", () => {
    const limits = { rMax: Number.POSITIVE_INFINITY, dMax: Number.POSITIVE_INFINITY };
    for (const layout of ["channels-first", "channels-last"] as const) {
      const shape = layout === "channels-first" ? [4, 3, 5] : [20, 1, 3];
      const options = { ...running, weight, bias, layout };
      const trained = batchRenorm({ data: x.data, shape }, { ...options, ...limits });
      const evaluated = batchRenorm({ data: x.data, shape }, { ...options, mode: "eval" });
      expect(largestDifference(trained.data, evaluated.data)).toBeLessThan(1e-13);
    }
  });

  it("with the default limits, and without running statistics, is batch norm", () => {
    const want = batchNorm(x, { weight, bias }).data;
    expect(largestDifference(batchRenorm(x, { weight, bias, ...running }).data, want)).toBeLessThan(1e-14);
    expect(largestDifference(batchRenorm(x, { weight, bias, rMax: 3, dMax: 5 }).data, want)).toBeLessThan(1e-14);
  });

  it("is a constant in the gradient: held at its limits, it does not move", () => {
    const far = { runningMean: [50, -50, 50], runningStd: [9, 0.01, 9], rMax: 1.5, dMax: 0.5, weight, bias };
    const { saved } = batchRenormForward(x, far);
    expect([...saved.r, ...saved.d]).toEqual([1 / 1.5, 1.5, 1 / 1.5, -0.5, 0.5, -0.5]);
    const { dx, dweight, dbias } = batchRenormBackward(dy, saved);
    const loss = () => dot(batchRenorm(x, far).data, dy.data);
    expect(differenceFromNumerical(loss, x.data as Float64Array, dx.data)).toBeLessThan(1e-8);
    expect(differenceFromNumerical(loss, weight, dweight!.data)).toBeLessThan(1e-8);
    expect(differenceFromNumerical(loss, bias, dbias!.data)).toBeLessThan(1e-8);
  });

  it("has in eval mode the gradient of an affine, with no eps", () => {
    const options = { ...running, weight, mode: "eval", eps: 7 } as const;
    const { saved } = batchRenormForward(x, options);
    const { dx, dweight } = batchRenormBackward(dy, saved);
    const loss = () => dot(batchRenorm(x, options).data, dy.data);
    expect(differenceFromNumerical(loss, x.data as Float64Array, dx.data)).toBeLessThan(1e-8);
    expect(differenceFromNumerical(loss, weight, dweight!.data)).toBeLessThan(1e-8);
  });
});

describe("running statistics", () => {
  it("average deviations, with eps in them, and not variances", () => {
    const found = batchRenormForward(x, { ...running, momentum: 0.25, eps: 0.5 }).running!;
    for (let c = 0; c < 3; c++) {
      const list = channel(c);
      const mean = list.reduce((a, b) => a + b) / 20;
      const std = Math.sqrt(list.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 20 + 0.5);
      expect(found.runningMean[c]).toBeCloseTo(0.75 * running.runningMean[c] + 0.25 * mean, 12);
      expect(found.runningStd[c]).toBeCloseTo(0.75 * running.runningStd[c] + 0.25 * std, 12);
    }
  });

  it("belong to the layer, whose limits follow its steps", () => {
    const norm = new BatchRenorm(3, { dtype: "float64", limits: (step) => ({ rMax: 1 + step, dMax: step }) });
    expect(new BatchRenorm(3).limits).toBe(renormSchedule);
    expect(largestDifference(norm.forward(x).data, batchNorm(x).data)).toBeLessThan(1e-14);
    expect(norm.numBatchesTracked).toBe(1);
    const { runningMean, runningStd } = norm;
    const want = batchRenorm(x, { runningMean, runningStd, rMax: 2, dMax: 1 });
    expect(largestDifference(norm.forward(x).data, want.data)).toBe(0);
    const evaluated = batchRenorm(x, { runningMean, runningStd, mode: "eval" });
    expect(largestDifference(norm.eval().forward(x).data, evaluated.data)).toBe(0);
    norm.resetRunningStats();
    expect([...norm.runningMean, ...norm.runningStd, norm.numBatchesTracked]).toEqual([0, 0, 0, 1, 1, 1, 0]);
  });

  it("average all batches with momentum null", () => {
    const norm = new BatchRenorm(3, { momentum: null, dtype: "float64" });
    norm.forward(x);
    norm.forward(dy);
    const [a, b] = [x, dy].map((t) => batchRenormForward(t, { ...running, momentum: 1 }).running!);
    const middle = a.runningStd.map((value, c) => (value + b.runningStd[c]) / 2);
    expect(largestDifference(norm.runningStd, middle)).toBeLessThan(1e-15);
  });
});

it("rejects limits, modes and batches that make no sense, and stays as it was", () => {
  const bad: Array<[object, RegExp]> = [
    [{ rMax: 0.5 }, /rMax must be a finite number of at least 1, got 0.5/],
    [{ rMax: Number.NaN }, /rMax must be/],
    [{ dMax: -1 }, /dMax must be a finite number of at least 0, got -1/],
    [{ momentum: 2 }, /momentum must be at most 1/],
    [{ mode: "test" }, /mode must be "train" or "eval"/],
    [{ runningMean: null }, /runningMean is missing; pass both/],
    [{ runningStd: null, runningMean: null, mode: "eval" }, /runningMean and runningStd must be given in mode "eval"/],
  ];
  for (const [options, message] of bad) {
    expect(() => batchRenorm(x, { ...running, ...(options as object) })).toThrow(message);
  }
  const norm = new BatchRenorm(3);
  norm.forward(tensorOf([2, 3], 1, "float32"));
  const before = norm.stateDict();
  expect(() => norm.forward(tensorOf([1, 3], 1, "float32"))).toThrow(/x has 1 value a channel.*needs at least 2/);
  expect(norm.stateDict()).toEqual(before);
  expect(memoryInfo().usedBytes).toBe(0);
});
