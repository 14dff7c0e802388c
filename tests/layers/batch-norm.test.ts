import { describe, expect, it } from "vitest";
import { BatchNorm, batchNorm, batchNormForward, GroupNorm, LayerNorm, presets } from "../../src/index.js";
import { largestDifference, tensorOf } from "../support/numbers.js";

const x = tensorOf([6, 3, 5], 1, "float64", 2);
const channel = (c: number) => Array.from({ length: 30 }, (_, i) => x.data[(Math.floor(i / 5) * 3 + c) * 5 + (i % 5)]);
const mean = (list: number[]) => list.reduce((sum, value) => sum + value, 0) / list.length;
const variance = (list: number[], ddof: number) => {
  const center = mean(list);
  return list.reduce((sum, value) => sum + (value - center) ** 2, 0) / (list.length - ddof);
};

describe("running statistics", () => {
  it("move by the momentum, with the unbiased variance, and are used in eval mode", () => {
    const norm = new BatchNorm(3, { momentum: 0.25, dtype: "float64" });
    norm.forward(x);
    expect(norm.numBatchesTracked).toBe(1);
    for (let c = 0; c < 3; c++) {
      expect(norm.runningMean![c]).toBeCloseTo(0.25 * mean(channel(c)), 12);
      expect(norm.runningVar![c]).toBeCloseTo(0.75 + 0.25 * variance(channel(c), 1), 12);
    }
    const [runningMean, runningVar] = [norm.runningMean!, norm.runningVar!];
    const want = batchNorm(x, { mode: "eval", runningMean, runningVar });
    expect(largestDifference(norm.eval().forward(x).data, want.data)).toBe(0);
    expect(norm.numBatchesTracked).toBe(1);
  });

  it("average all batches with momentum null", () => {
    const norm = new BatchNorm(3, { momentum: null, dtype: "float64" });
    const other = tensorOf([4, 3, 2], 2, "float64");
    norm.forward(x);
    norm.forward(other);
    const copy = new BatchNorm(3, { dtype: "float64" });
    copy.recalibrate([x, other]);
    expect(largestDifference(copy.runningMean!, norm.runningMean!)).toBeLessThan(1e-15);
    expect(largestDifference(copy.runningVar!, norm.runningVar!)).toBeLessThan(1e-15);
    norm.resetRunningStats();
    expect([...norm.runningMean!, ...norm.runningVar!, norm.numBatchesTracked]).toEqual([0, 0, 0, 1, 1, 1, 0]);
  });

  it("are returned, not written, by the function", () => {
    const runningMean = new Float32Array(3);
    const runningVar = new Float32Array(3).fill(1);
    const { running } = batchNormForward(x, { runningMean, runningVar });
    expect(running!.runningMean).toBeInstanceOf(Float32Array);
    expect(running!.numBatchesTracked).toBe(1);
    expect([...runningMean, ...runningVar]).toEqual([0, 0, 0, 1, 1, 1]);
  });

  it("stay as they were where a call throws", () => {
    const norm = new BatchNorm(3);
    norm.forward(tensorOf([2, 3], 1, "float32"));
    const before = norm.stateDict();
    expect(() => norm.forward(tensorOf([1, 3], 1, "float32"))).toThrow(/x has 1 value a channel.*needs at least 2/);
    expect(() => norm.forward(tensorOf([4, 5], 1, "float32"))).toThrow(/x has 5 channels/);
    expect(() => norm.recalibrate([tensorOf([4, 3], 1), tensorOf([1, 3], 1)])).toThrow(/one value a channel/);
    expect(() => norm.recalibrate([])).toThrow(/batches must hold at least one batch/);
    expect(norm.stateDict()).toEqual(before);
  });

  it("do not grow memory in 20,000 steps", () => {
    const norm = new BatchNorm(4);
    const batch = tensorOf([3, 4], 1, "float32");
    for (let i = 0; i < 20000; i++) norm.forward(batch);
    expect(norm.numBatchesTracked).toBe(20000);
  });
});

describe("one value a channel", () => {
  const single = tensorOf([1, 3], 4);

  it("can use the running statistics, or give the bias", () => {
    const running = new BatchNorm(3, { onSingleValue: "useRunning", dtype: "float64" });
    expect(
      largestDifference(
        running.forward(single).data,
        Array.from(single.data, (v) => v / Math.sqrt(1 + 1e-5)),
      ),
    ).toBeLessThan(1e-15);
    const zero = new BatchNorm(3, { onSingleValue: "zero", dtype: "float64" });
    zero.bias!.data.set([1, 2, 3]);
    expect([...zero.forward(single).data]).toEqual([1, 2, 3]);
    expect([...zero.runningMean!, ...running.runningVar!]).toEqual([0, 0, 0, 1, 1, 1]);
  });
});

describe("a mask", () => {
  it("leaves values out of every statistic and clears them", () => {
    const mask = [1, 1, 0, 1, 0, 1];
    const kept = { data: x.data.filter((_, i) => mask[Math.floor(i / 15)]), shape: [4, 3, 5] };
    const masked = batchNorm(
      { data: x.data.map((v, i) => (mask[Math.floor(i / 15)] ? v : Number.NaN)), shape: x.shape },
      { mask },
    );
    const want = batchNorm(kept);
    expect(
      largestDifference(
        masked.data.filter((_, i) => mask[Math.floor(i / 15)]),
        want.data,
      ),
      // Valid values are summed cell by cell, short runs of a batch without a mask together: the trees differ.
    ).toBeLessThan(1e-14);
    expect(masked.data.every((v, i) => mask[Math.floor(i / 15)] || v === 0)).toBe(true);
  });

  it("must be one for each sample or position, with two valid values", () => {
    expect(() => batchNorm(x, { mask: [1, 1] })).toThrow(/mask has 2 elements where 6 \(samples\) or 30/);
    expect(() => batchNorm(tensorOf([3, 2], 1), { mask: [1, 0, 0] })).toThrow(/1 valid value a channel/);
  });
});

describe("frozen", () => {
  it("normalizes as eval does and learns weight and bias", () => {
    const norm = new BatchNorm(3, { dtype: "float64" }).freeze();
    const y = norm.forward(x);
    expect(
      largestDifference(
        y.data,
        x.data.map((v) => v / Math.sqrt(1 + 1e-5)),
      ),
    ).toBeLessThan(1e-14);
    const dx = norm.backward(x);
    expect(
      largestDifference(
        dx.data,
        x.data.map((v) => v / Math.sqrt(1 + 1e-5)),
      ),
    ).toBeLessThan(1e-14);
    expect(norm.weight!.grad!.length).toBe(3);
    expect(norm.numBatchesTracked).toBe(0);
  });
});

describe("presets and names of other frameworks", () => {
  it("take Keras' arguments and weights", () => {
    const norm = new BatchNorm(3, { ...presets.keras.batchNorm({ momentum: 0.9 }), dtype: "float64" });
    expect([norm.eps, norm.layout]).toEqual([1e-3, "channels-last"]);
    norm.forward({ data: x.data, shape: [30, 3] });
    const column = Array.from({ length: 30 }, (_, i) => x.data[i * 3]);
    expect(norm.runningMean![0]).toBeCloseTo(0.1 * mean(column), 12);
    expect(norm.runningVar![0]).toBeCloseTo(0.9 + 0.1 * variance(column, 0), 12);
    norm.loadStateDict({
      "bn/gamma:0": [1, 2, 3],
      "bn/beta:0": [4, 5, 6],
      "bn/moving_mean:0": [7, 8, 9],
      "bn/moving_variance:0": [1, 1, 2],
    });
    expect([...norm.weight!.data, ...norm.bias!.data, ...norm.runningMean!]).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(new LayerNorm(3, presets.keras.layerNorm()).eps).toBe(1e-3);
    expect(new GroupNorm(1, 3, presets.keras.groupNorm()).layout).toBe("channels-last");
  });

  it("take ONNX's", () => {
    const norm = new BatchNorm(2, presets.onnx.batchNorm());
    expect(norm.momentum).toBeCloseTo(0.1, 12);
    expect(norm.unbiasedRunningVar).toBe(false);
    norm.loadStateDict({ scale: [1, 2], B: [3, 4], input_mean: [5, 6], input_var: [7, 8] });
    expect([...norm.runningVar!]).toEqual([7, 8]);
  });

  it("take PyTorch's count of batches as a BigInt64Array", () => {
    const norm = new BatchNorm(1);
    norm.loadStateDict({ ...norm.stateDict(), num_batches_tracked: new BigInt64Array([7n]) as never });
    expect(norm.numBatchesTracked).toBe(7);
  });
});
