import { expect, it } from "vitest";
import { setStageBytes } from "../../src/core/stream.js";
import {
  MeanOnlyBatchNorm,
  meanOnlyBatchNorm,
  meanOnlyBatchNormBackward,
  meanOnlyBatchNormForward,
  memoryInfo,
  tensor,
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

const shapes = [
  [1, 3],
  [5, 3],
  [3, 2, 17],
  [2, 4, 3, 5],
  [1, 2, 1023],
  [127, 2, 31],
];

it.each(shapes.map((shape) => ({ shape })))("takes the mean away and puts the bias for $shape", ({ shape }) => {
  const x = tensorOf(shape, 1, "float64", 5);
  const [n, c] = shape;
  const s = x.data.length / (n * c);
  const bias = values(c, 2);
  const y = meanOnlyBatchNorm(x, { bias });
  for (let j = 0; j < c; j++) {
    const at = Array.from({ length: n * s }, (_, i) => (Math.floor(i / s) * c + j) * s + (i % s));
    const mean = at.reduce((sum, i) => sum + x.data[i], 0) / (n * s);
    for (const i of at) expect(y.data[i]).toBeCloseTo(x.data[i] - mean + bias[j], 12);
  }
  const last = meanOnlyBatchNorm(channelsLast(x), { bias, layout: "channels-last" });
  expect(largestDifference(last.data, channelsLast(y).data)).toBeLessThan(1e-13);
});

it("has the gradient of finite differences, in training and in eval mode", () => {
  const x = tensorOf([3, 2, 5], 1);
  const dy = tensorOf([3, 2, 5], 2);
  const bias = values(2, 3);
  for (const options of [{}, { mode: "eval", runningMean: [1, 2] } as const, { layout: "channels-last" } as const]) {
    const shape = "layout" in options ? [15, 1, 2] : [3, 2, 5];
    const input = { data: x.data, shape };
    const { saved } = meanOnlyBatchNormForward(input, { bias, ...options });
    const { dx, dbias } = meanOnlyBatchNormBackward({ data: dy.data, shape }, saved);
    const loss = () => dot(meanOnlyBatchNorm(input, { bias, ...options }).data, dy.data);
    expect(differenceFromNumerical(loss, x.data as Float64Array, dx.data)).toBeLessThan(1e-8);
    expect(differenceFromNumerical(loss, bias, dbias!.data)).toBeLessThan(1e-8);
  }
});

it("is exact for f32 data far from 0", () => {
  const data = Float32Array.from({ length: 4096 }, (_, i) => 1e6 + (i % 2));
  const y = meanOnlyBatchNorm({ data, shape: [4096, 1] });
  expect(y.data.every((value, i) => value === (i % 2) - 0.5)).toBe(true);
});

it.each(["float32", "float64"] as const)(
  "gives the same bits from heap, tensors, in place and in any chunks, %s",
  (dtype) => {
    for (const shape of [
      [5, 3],
      [3, 2, 17],
      [5, 2, 1023],
    ]) {
      const x = tensorOf(shape, 1, dtype, 2);
      const dy = tensorOf(shape, 2, dtype);
      const run = () => {
        const { y, saved } = meanOnlyBatchNormForward(x, { bias: values(shape[1], 3) });
        const { dx, dbias } = meanOnlyBatchNormBackward(dy, saved);
        return [y, dx, dbias!].map(({ data }) => bits(data));
      };
      const want = run();
      for (const bytes of [64, 1000]) {
        const former = setStageBytes(bytes);
        expect(run()).toEqual(want);
        setStageBytes(former);
      }
      const lx = tensor(shape, { data: x.data, dtype });
      const ldy = tensor(shape, { data: dy.data, dtype });
      const { saved } = meanOnlyBatchNormForward(lx, { bias: values(shape[1], 3), out: lx });
      expect(bits(lx.data)).toBe(want[0]);
      // x is gone, and not needed.
      meanOnlyBatchNormBackward(ldy, saved, { out: ldy });
      expect(bits(ldy.data)).toBe(want[1]);
      lx.dispose();
      ldy.dispose();
    }
    expect(memoryInfo().usedBytes).toBe(0);
  },
);

it("keeps a running mean as a layer", () => {
  const norm = new MeanOnlyBatchNorm(2, { dtype: "float64", momentum: 0.25 });
  const x = { data: Float64Array.of(1, 10, 3, 20), shape: [2, 2] };
  expect(() => norm.backward(x)).toThrow(/call forward first/);
  expect([...norm.forward(x).data]).toEqual([-1, -5, 1, 5]);
  expect([...norm.runningMean, norm.numBatchesTracked]).toEqual([0.5, 3.75, 1]);
  norm.backward(x);
  expect([...norm.bias!.grad!]).toEqual([4, 30]);
  norm.eval();
  expect([...norm.forward(x).data]).toEqual([0.5, 6.25, 2.5, 16.25]);
  expect([...norm.backward(x).data]).toEqual([1, 10, 3, 20]);
  expect([...norm.bias!.grad!]).toEqual([4, 30]);
  const copy = new MeanOnlyBatchNorm(2, { dtype: "float64" }).loadStateDict(norm.stateDict());
  expect(copy.stateDict()).toEqual(norm.stateDict());
  expect(Object.keys(copy.parameters())).toEqual(["bias"]);
  norm.resetRunningStats();
  expect([...norm.runningMean, norm.numBatchesTracked]).toEqual([0, 0, 0]);
});

it("rejects bad input by name", () => {
  const x = tensorOf([4, 3], 1);
  expect(() => meanOnlyBatchNorm(x, { bias: [1] })).toThrow(/bias has 1 elements where 3 are needed/);
  expect(() => meanOnlyBatchNorm(x, { mode: "eval" })).toThrow(/runningMean must be given in mode "eval"/);
  expect(() => meanOnlyBatchNorm(x, { momentum: -1 })).toThrow(/momentum must be/);
  const { saved } = meanOnlyBatchNormForward(x);
  expect(() => meanOnlyBatchNormBackward(tensorOf([3, 4], 1), saved)).toThrow(
    /dy has shape \[3, 4\].*where x has \[4, 3\]/,
  );
  expect(() => meanOnlyBatchNormBackward(tensorOf([4, 3], 1, "float32"), saved)).toThrow(/float32/);
  expect(() => new MeanOnlyBatchNorm(4).forward(x)).toThrow(/x has 3 channels/);
  expect(memoryInfo().usedBytes).toBe(0);
});
