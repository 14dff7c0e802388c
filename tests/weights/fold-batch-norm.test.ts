import { describe, expect, it } from "vitest";
import { setStageBytes } from "../../src/core/stream.js";
import { BatchNorm, batchNorm, foldBatchNorm, matmul, memoryInfo, tensor } from "../../src/index.js";
import { bits, largestDifference, tensorOf, values } from "../support/numbers.js";

function normOf(channels: number): BatchNorm {
  const norm = new BatchNorm(channels, { dtype: "float64" });
  norm.weight!.data.set(values(channels, 1, 1, 0.5));
  norm.bias!.data.set(values(channels, 2));
  norm.runningMean!.set(values(channels, 3));
  norm.runningVar!.set(values(channels, 4, 2));
  return norm.eval();
}

/** out[o, p] = Σ weight at a pair of channels and a tap, one-dimensional, stride 1, `of` says which element of the weight. */
function convolve(
  x: Float64Array,
  inputs: number,
  outputs: number,
  taps: number,
  of: (output: number, input: number, tap: number) => number,
): { data: Float64Array; shape: number[] } {
  const length = x.length / inputs - taps + 1;
  const y = { data: new Float64Array(outputs * length), shape: [1, outputs, length] };
  for (let o = 0; o < outputs; o++) {
    for (let i = 0; i < inputs; i++) {
      for (let t = 0; t < taps; t++) {
        for (let p = 0; p < length; p++) y.data[o * length + p] += of(o, i, t) * x[i * (length + taps - 1) + p + t];
      }
    }
  }
  return y;
}

describe("foldBatchNorm", () => {
  it("folds into a linear layer", () => {
    const [x, weight] = [tensorOf([7, 5], 1), tensorOf([3, 5], 2)];
    const norm = normOf(3);
    const bias = values(3, 9);
    const y = matmul(x, weight, { transposeB: true });
    for (let i = 0; i < y.data.length; i++) y.data[i] += bias[i % 3];
    const folded = foldBatchNorm({ weight, bias }, norm);
    const z = matmul(x, folded.weight, { transposeB: true });
    for (let i = 0; i < z.data.length; i++) z.data[i] += folded.bias.data[i % 3];
    expect(largestDifference(z.data, norm.forward(y).data)).toBeLessThan(1e-13);
  });

  it.each([
    {
      kind: "convolution",
      shape: [4, 2, 3],
      axis: 0,
      groups: 1,
      at: (o: number, i: number, t: number) => (o * 2 + i) * 3 + t,
    },
    {
      kind: "convolution, Keras",
      shape: [3, 2, 4],
      axis: -1,
      groups: 1,
      at: (o: number, i: number, t: number) => (t * 2 + i) * 4 + o,
    },
    {
      kind: "transposed convolution",
      shape: [2, 4, 3],
      axis: 1,
      groups: 1,
      at: (o: number, i: number, t: number) => (i * 4 + o) * 3 + t,
    },
    {
      kind: "depthwise convolution",
      shape: [2, 1, 3],
      axis: 0,
      groups: 1,
      at: (o: number, i: number, t: number) => (o === i ? o * 3 + t : -1),
    },
    {
      kind: "depthwise convolution, Keras, two multipliers",
      shape: [3, 2, 2],
      axis: [1, 2],
      groups: 1,
      at: (o: number, i: number, t: number) => (Math.floor(o / 2) === i ? (t * 2 + i) * 2 + (o % 2) : -1),
    },
    {
      kind: "transposed convolution in groups",
      shape: [2, 2, 3],
      axis: 1,
      groups: 2,
      at: (o: number, i: number, t: number) => (Math.floor(o / 2) === i ? (i * 2 + (o % 2)) * 3 + t : -1),
    },
  ])("folds into a $kind", ({ shape, axis, groups, at }) => {
    const weight = tensorOf(shape, 5);
    const outputs = foldBatchNorm({ weight }, normOf(countOf(shape, axis, groups)), { axis, groups }).bias.data.length;
    const norm = normOf(outputs);
    const x = values(2 * 11, 6);
    const run = (data: ArrayLike<number>) =>
      convolve(x, 2, outputs, 3, (o, i, t) => (at(o, i, t) < 0 ? 0 : data[at(o, i, t)]));
    const { running_mean, running_var } = norm.stateDict();
    const want = batchNorm(run(weight.data), {
      mode: "eval",
      weight: norm.weight!.data,
      bias: norm.bias!.data,
      runningMean: running_mean,
      runningVar: running_var,
    });
    const folded = foldBatchNorm({ weight }, norm, { axis, groups });
    const got = run(folded.weight.data);
    const length = got.shape[2];
    for (let i = 0; i < got.data.length; i++) got.data[i] += folded.bias.data[Math.floor(i / length)];
    expect(largestDifference(got.data, want.data)).toBeLessThan(1e-13);
  });

  it.each([
    { shape: [5, 7], axis: 0, groups: 1 },
    { shape: [7, 5], axis: -1, groups: 1 },
    { shape: [3, 5, 9], axis: 1, groups: 1 },
    { shape: [3, 3, 4, 2], axis: [2, 3], groups: 1 },
    { shape: [4, 3, 2, 3], axis: [2, 0], groups: 1 },
    { shape: [6, 2, 4, 3], axis: [3, 1], groups: 3 },
    { shape: [6, 5, 3], axis: 1, groups: 2 },
    { shape: [40, 300], axis: 0, groups: 1 },
  ])("rounds each f32 product once, wherever it lies: shape $shape, axis $axis, $groups groups", (given) => {
    const { shape, axis, groups } = given;
    const channels = countOf(shape, axis, groups);
    const norm = normOf(channels);
    const weight = tensorOf(shape, 5, "float32");
    const scale = Array.from(norm.runningVar!, (value, c) => norm.weight!.data[c] / Math.sqrt(value + 1e-5));
    const want = Float32Array.from(weight.data, (value, at) => {
      const index: number[] = [];
      for (let rest = at, i = shape.length - 1; i >= 0; rest = Math.floor(rest / shape[i]), i--) {
        index.unshift(rest % shape[i]);
      }
      const of = [axis].flat().map((i) => (i < 0 ? i + shape.length : i));
      let channel = of.reduce((sum, i) => sum * shape[i] + index[i], 0);
      if (groups > 1) channel += Math.floor(index[0] / (shape[0] / groups)) * (channels / groups);
      return value * scale[channel];
    });
    expect(bits(foldBatchNorm({ weight }, norm, { axis, groups }).weight.data)).toBe(bits(want));
    const former = setStageBytes(64);
    expect(bits(foldBatchNorm({ weight }, norm, { axis, groups }).weight.data)).toBe(bits(want));
    setStageBytes(former);
    const linear = tensor(shape, { data: weight.data });
    expect(foldBatchNorm({ weight: linear }, norm, { axis, groups, out: linear }).weight).toBe(linear);
    expect(bits(linear.data)).toBe(bits(want));
    linear.dispose();
    expect(memoryInfo().usedBytes).toBe(0);
  });

  it("names what does not fit", () => {
    const weight = tensorOf([4, 2], 1);
    expect(() => foldBatchNorm({ weight }, normOf(4), { axis: [] })).toThrow(/axis must name at least one dimension/);
    expect(() => foldBatchNorm({ weight }, normOf(4), { out: tensorOf([2, 4], 1) })).toThrow(/out has shape/);
    expect(() => foldBatchNorm({ weight }, normOf(3))).toThrow(/runningMean has 3 elements where 4 are needed/);
    expect(() => foldBatchNorm({ weight }, normOf(4), { axis: 2 })).toThrow(/axis must name a dimension of weight/);
    expect(() => foldBatchNorm({ weight }, normOf(4), { groups: 3 })).toThrow(/groups must divide/);
    expect(() => foldBatchNorm({ weight }, new BatchNorm(4, { trackRunningStats: false }))).toThrow(
      /runningMean and runningVar/,
    );
    expect(() => foldBatchNorm({ weight: undefined as never }, normOf(4))).toThrow(/weight must be/);
  });
});

function countOf(shape: number[], axis: number | number[], groups: number): number {
  return [axis].flat().reduce((product, at) => product * shape.at(at)!, groups);
}
