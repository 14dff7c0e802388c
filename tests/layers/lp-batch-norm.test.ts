import { describe, expect, it } from "vitest";
import { setStageBytes } from "../../src/core/stream.js";
import {
  batchNormBackward,
  batchNormForward,
  groupNormBackward,
  groupNormForward,
  LpBatchNorm,
  lpBatchNorm,
  lpBatchNormBackward,
  lpBatchNormForward,
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

const image = [3, 4, 2, 5];
const dense = [5, 6];
const sets = [
  { over: "batch", shape: image },
  { over: "layer", shape: image },
  { over: "group", numGroups: 2, shape: image },
  { over: "instance", shape: image },
  { over: "batch", shape: dense },
  { over: "layer", shape: dense },
  { over: "group", numGroups: 2, shape: dense },
] as const;

describe.each(["channels-first", "channels-last"] as const)("%s", (layout) => {
  const given = (shape: readonly number[], seed: number, offset = 0) => {
    const x = tensorOf([...shape], seed, "float64", offset);
    return layout === "channels-first" ? x : channelsLast(x);
  };

  describe.each(sets)("over $over of $shape", ({ shape, ...set }) => {
    const c = shape[1];
    const affine = () => ({ weight: values(c, 3, 1, 0.5), bias: values(c, 4) });

    it("with p 2 is the plain method, forward and backward", () => {
      const [x, dy] = [given(shape, 1, 5), given(shape, 2)];
      const options = { ...affine(), layout };
      const numGroups = { layer: 1, group: 2, instance: c, batch: 0 }[set.over];
      const [y, grads] =
        set.over === "batch"
          ? (({ y, saved }) => [y, batchNormBackward(dy, saved)] as const)(batchNormForward(x, options))
          : (({ y, saved }) => [y, groupNormBackward(dy, saved)] as const)(
              groupNormForward(x, { ...options, numGroups }),
            );
      const found = lpBatchNormForward(x, { ...options, ...set, p: 2, gaussianScale: true });
      expect(largestDifference(found.y.data, y.data)).toBeLessThan(1e-13);
      const own = lpBatchNormBackward(dy, found.saved);
      expect(largestDifference(own.dx.data, grads.dx.data)).toBeLessThan(1e-12);
      expect(largestDifference(own.dweight!.data, grads.dweight!.data)).toBeLessThan(1e-12);
      expect(largestDifference(own.dbias!.data, grads.dbias!.data)).toBeLessThan(1e-12);
    });

    it.each([1, 1.5, 3, 4.25])("has the gradient of finite differences for p %d", (p) => {
      const [x, dy] = [given(shape, 1), given(shape, 2)];
      const options = { ...affine(), ...set, layout, p, gaussianScale: true };
      const { saved } = lpBatchNormForward(x, options);
      const { dx, dweight, dbias } = lpBatchNormBackward(dy, saved);
      const loss = () => dot(lpBatchNorm(x, options).data, dy.data);
      expect(differenceFromNumerical(loss, x.data as Float64Array, dx.data)).toBeLessThan(1e-7);
      expect(differenceFromNumerical(loss, options.weight, dweight!.data)).toBeLessThan(1e-7);
      expect(differenceFromNumerical(loss, options.bias, dbias!.data)).toBeLessThan(1e-7);
    });

    it.each([1, 3])("gives the same bits from heap, tensors, in place and in any chunks for p %d", (p) => {
      for (const dtype of ["float32", "float64"] as const) {
        const [x, dy] = [given(shape, 1, 2), given(shape, 2)].map((t) => ({
          data: dtype === "float64" ? Float64Array.from(t.data) : Float32Array.from(t.data),
          shape: t.shape,
        }));
        const options = { ...affine(), ...set, layout, p };
        const run = () => {
          const { y, saved } = lpBatchNormForward(x, options);
          const { dx, dweight } = lpBatchNormBackward(dy, saved);
          return [y, dx, dweight!].map(({ data }) => bits(data));
        };
        const want = run();
        for (const bytes of [64, 300]) {
          const former = setStageBytes(bytes);
          expect(run()).toEqual(want);
          setStageBytes(former);
        }
        const [lx, ldy] = [x, dy].map((t) => tensor(t.shape, { data: t.data, dtype }));
        const { saved } = lpBatchNormForward(lx, options);
        lpBatchNormBackward(ldy, saved, { out: ldy });
        expect(bits(ldy.data)).toBe(want[1]);
        lpBatchNormBackward(dy, saved, { out: lx });
        expect(bits(lx.data)).toBe(want[1]);
        for (const used of [lx, ldy]) used.dispose();
      }
      expect(memoryInfo().usedBytes).toBe(0);
    });
  });
});

it.each([1, 17, 1023, 9001])("is the formula of the mean absolute deviation for %d values", (n) => {
  for (const shape of [
    [1, 2, n],
    [n, 2],
  ]) {
    if (n === 1) continue;
    const x = tensorOf(shape, 1, "float64", 3);
    const s = shape.length === 3 ? n : 1;
    const list = Array.from(x.data).filter((_, i) => Math.floor(i / s) % 2 === 1);
    const mean = list.reduce((a, b) => a + b) / n;
    const deviation = list.reduce((sum, value) => sum + Math.abs(value - mean), 0) / n + 1e-5;
    const y = Array.from(lpBatchNorm(x).data).filter((_, i) => Math.floor(i / s) % 2 === 1);
    const want = list.map((value) => (value - mean) / deviation);
    expect(largestDifference(y, want)).toBeLessThan(1e-11);
  }
});

it("scales the deviation of normal data to its standard deviation", () => {
  const uniform = values(20000, 1);
  // Box and Muller's transformation.
  const data = uniform.map((value, i) =>
    i % 2 === 0 ? Math.sqrt(-2 * Math.log((value + 1) / 2 + 1e-12)) * Math.cos(Math.PI * uniform[i + 1]) : 0,
  );
  const normal = { data: data.filter((_, i) => i % 2 === 0), shape: [10000, 1] };
  const y = lpBatchNorm(normal, { gaussianScale: true });
  expect(Array.from(y.data).reduce((sum, value) => sum + value * value, 0) / 10000).toBeCloseTo(1, 1);
  const plain = lpBatchNorm(normal);
  expect(plain.data[0] / y.data[0]).toBeCloseTo(Math.sqrt(Math.PI / 2), 12);
});

it("works in f32 as in f64, also far from 0 and where squares overflow", () => {
  for (const shape of [
    [2, 2, 257],
    [129, 3],
  ]) {
    for (const over of ["batch", "layer"] as const) {
      for (const { offset, scale, p } of [
        { offset: 0, scale: 1, p: 1 },
        { offset: 1e6, scale: 1, p: 1 },
        { offset: 1e4, scale: 1, p: 3 },
        { offset: 0, scale: 1e36, p: 1 },
        { offset: 0, scale: 1e-30, p: 1 },
        { offset: 0, scale: 1e30, p: 1.5 },
      ]) {
        const x = tensorOf(shape, 1, "float32");
        for (let i = 0; i < x.data.length; i++) x.data[i] = (offset + Math.round(x.data[i] * 16) / 16) * scale;
        const dy = tensorOf(shape, 2, "float32");
        const wide = (t: typeof x) => ({ data: Float64Array.from(t.data), shape: t.shape });
        const run = (input: typeof x, gradient: typeof x) => {
          const { y, saved } = lpBatchNormForward(input, { p, over, eps: 0 });
          return { y, dx: lpBatchNormBackward(gradient, saved).dx };
        };
        const [found, want] = [run(x, dy), run(wide(x), wide(dy))];
        expect(largestDifference(found.y.data, want.y.data)).toBeLessThan(2e-6);
        const scaled = (data: ArrayLike<number>) => Array.from(data, (value) => value * scale);
        expect(largestDifference(scaled(found.dx.data), scaled(want.dx.data))).toBeLessThan(1e-5);
      }
    }
  }
});

it("keeps NaN in its group", () => {
  for (const p of [1, 3]) {
    const x = tensorOf([2, 2, 9], 1);
    x.data[3] = Number.NaN;
    const { y, saved } = lpBatchNormForward(x, { p, over: "instance" });
    const { dx } = lpBatchNormBackward(tensorOf([2, 2, 9], 2), saved);
    for (const { data } of [y, dx]) expect(Array.from(data, Number.isNaN)).toEqual(Array.from(data, (_, i) => i < 9));
  }
});

describe("running statistics", () => {
  it("are of mean |x − mean|^p, and serve eval mode", () => {
    const norm = new LpBatchNorm(2, { p: 3, momentum: 0.25, dtype: "float64" });
    const x = tensorOf([9, 2], 1);
    norm.forward(x);
    const list = Array.from(x.data).filter((_, i) => i % 2 === 1);
    const mean = list.reduce((a, b) => a + b) / 9;
    const moment = list.reduce((sum, value) => sum + Math.abs(value - mean) ** 3, 0) / 9;
    expect(norm.runningMean![1]).toBeCloseTo(0.25 * mean, 13);
    expect(norm.runningMoment![1]).toBeCloseTo(0.75 + 0.25 * moment, 13);
    const y = norm.eval().forward(x);
    const s = Math.cbrt(norm.runningMoment![1] + 1e-5);
    const want = list.map((value) => (value - norm.runningMean![1]) / s);
    expect(
      largestDifference(
        Array.from(y.data).filter((_, i) => i % 2 === 1),
        want,
      ),
    ).toBeLessThan(1e-13);
    const dx = norm.backward(x);
    expect(dx.data[1]).toBeCloseTo(x.data[1] / s, 13);
    const copy = new LpBatchNorm(2, { p: 3, dtype: "float64" }).loadStateDict(norm.stateDict());
    expect(bits(copy.eval().forward(x).data)).toBe(bits(y.data));
    norm.resetRunningStats();
    expect([...norm.runningMean!, ...norm.runningMoment!, norm.numBatchesTracked]).toEqual([0, 0, 1, 1, 0]);
  });

  it("are not kept over other sets, which eval mode leaves as they are", () => {
    const norm = new LpBatchNorm(4, { over: "group", numGroups: 2, dtype: "float64" });
    const x = tensorOf([3, 4], 1);
    expect(Object.keys(norm.stateDict())).toEqual(["weight", "bias"]);
    expect(bits(norm.forward(x).data)).toBe(bits(norm.eval().forward(x).data));
  });
});

it("rejects bad input by name, and stays as it was", () => {
  const x = tensorOf([4, 6], 1);
  const bad: Array<[object, RegExp]> = [
    [{ p: 0 }, /p must be a finite number above 0, got 0/],
    [{ p: Number.NaN }, /p must be/],
    [{ over: "sample" }, /over must be "batch" or "layer"/],
    [{ over: "group" }, /numGroups must be a whole number/],
    [{ over: "group", numGroups: 4 }, /channels \(6\) must be divisible by numGroups \(4\)/],
    [{ over: "instance" }, /more than one position/],
    [{ over: "layer", mode: "eval" }, /are for over "batch", got over "layer"/],
    [{ mode: "eval" }, /runningMean and runningMoment must be given/],
    [{ runningMean: [0, 0, 0, 0, 0, 0] }, /runningMoment is missing/],
  ];
  for (const [options, message] of bad) expect(() => lpBatchNorm(x, options)).toThrow(message);
  expect(() => new LpBatchNorm(6, { over: "group", numGroups: 4 })).toThrow(/must be divisible/);
  const norm = new LpBatchNorm(6);
  const before = norm.stateDict();
  expect(() => norm.forward(tensorOf([1, 6], 1))).toThrow(/x has 1 value a channel/);
  expect(norm.stateDict()).toEqual(before);
  expect(memoryInfo().usedBytes).toBe(0);
});
