import { afterEach, describe, expect, it } from "vitest";
import { setStageBytes } from "../../src/core/stream.js";
import {
  BatchNorm,
  matmul,
  memoryInfo,
  tensor,
  WeightNorm,
  weightNorm,
  weightNormBackward,
  weightNormForward,
  weightNormInit,
} from "../../src/index.js";
import { bits, differenceFromNumerical, dot, largestDifference, tensorOf, values } from "../support/numbers.js";

const kinds: Array<{ shape: number[]; dim: number | null }> = [
  { shape: [3, 5], dim: 0 },
  { shape: [5, 3], dim: -1 },
  { shape: [4, 3, 3, 3], dim: 0 },
  { shape: [3, 4, 5], dim: 1 },
  { shape: [2, 17, 31], dim: 2 },
  { shape: [1, 127], dim: 0 },
  { shape: [1023], dim: 0 },
  { shape: [2, 1023], dim: null },
  { shape: [1], dim: null },
];
const unitsOf = (shape: number[], dim: number | null) => (dim === null ? 1 : shape.at(dim)!);

describe.each(kinds)("weight norm of $shape along $dim", ({ shape, dim }) => {
  afterEach(() => {
    setStageBytes(1 << 17);
  });

  it("has the gradient of finite differences, orthogonal to v", () => {
    const v = tensorOf(shape, 1, "float64", 0.2);
    const g = values(unitsOf(shape, dim), 2, 1, 0.5);
    const dw = tensorOf(shape, 3);
    const { saved } = weightNormForward(v, { g, dim });
    const { dv, dg } = weightNormBackward(dw, saved);
    const loss = () => dot(weightNorm(v, { g, dim }).data, dw.data);
    expect(differenceFromNumerical(loss, v.data as Float64Array, dv.data)).toBeLessThan(1e-7);
    expect(differenceFromNumerical(loss, g, dg.data)).toBeLessThan(1e-7);
    expect(Math.abs(dot(dv.data, v.data))).toBeLessThan(1e-12);
    expect(dg.shape).toEqual(dim === null ? [] : [shape.at(dim)]);
  });

  it.each(["float32", "float64"] as const)("gives the same bits from %s arrays, tensors and in place", (dtype) => {
    const v = tensorOf(shape, 4, dtype);
    const dw = tensorOf(shape, 5, dtype);
    const g = values(unitsOf(shape, dim), 6, 1, 0.5);
    const run = (input: Parameters<typeof weightNorm>[0], gradient: typeof dw) => {
      const { w, saved } = weightNormForward(input, { g, dim });
      const { dv, dg } = weightNormBackward(gradient, saved);
      return [w, dv, dg].map(({ data }) => bits(data));
    };
    const want = run(v, dw);
    for (const bytes of [64, 1000, 1 << 24]) {
      setStageBytes(bytes);
      expect(run(v, dw)).toEqual(want);
    }
    const linear = tensor(shape, { data: v.data, dtype });
    expect(run(linear, dw)).toEqual(want);
    weightNorm(linear, { g, dim, out: linear });
    expect(bits(linear.data)).toBe(want[0]);
    linear.dispose();
    weightNorm(v, { g, dim, out: v });
    expect(bits(v.data)).toBe(want[0]);
    expect(memoryInfo().usedBytes).toBe(0);
  });

  it("is undone by taking lengths again", () => {
    const weight = tensorOf(shape, 7);
    const norm = new WeightNorm(weight, { dim });
    expect(largestDifference(norm.forward().data, weight.data)).toBeLessThan(1e-15);
  });
});

describe("weight norm", () => {
  it("leaves a slice of zeros, and what is shorter than eps, finite", () => {
    const v = { data: new Float64Array([0, 0, 3e-20, 4e-20, 3, 4]), shape: [3, 2] };
    const { w, saved } = weightNormForward(v, { g: [2, 2, 2] });
    expect([...w.data].map((value) => Number(value.toPrecision(12)))).toEqual([0, 0, 6e-8, 8e-8, 1.2, 1.6]);
    const { dv, dg } = weightNormBackward({ data: new Float64Array(6).fill(1), shape: [3, 2] }, saved);
    expect([...dv.data, ...dg.data].every(Number.isFinite)).toBe(true);
    const loss = () => dot(weightNorm(v, { g: [2, 2, 2] }).data, new Float64Array(6).fill(1));
    expect(differenceFromNumerical(loss, v.data, dv.data, { h: 1e-22 })).toBeLessThan(1e-7);
  });

  it("survives squares beyond float32", () => {
    const w = weightNorm({ data: new Float32Array([3e30, 4e30]), shape: [1, 2] });
    expect(largestDifference(w.data, [0.6, 0.8])).toBeLessThan(1e-7);
  });

  it("initializes on a batch: each unit gets mean 0 and deviation initScale", () => {
    const weight = tensorOf([6, 9], 1, "float64", 0.3);
    const batch = tensorOf([40, 9], 2, "float64", 3, 2);
    const norm = new WeightNorm(weight);
    const linear = (w: Parameters<typeof matmul>[1]) => matmul(batch, w, { transposeB: true });
    const { bias, y } = norm.initialize(linear, { initScale: 0.5 });
    const want = linear(norm.forward());
    for (let i = 0; i < want.data.length; i++) want.data[i] += bias.data[i % 6];
    expect(largestDifference(want.data, y.data)).toBeLessThan(1e-13);
    for (let unit = 0; unit < 6; unit++) {
      const column = Array.from({ length: 40 }, (_, row) => y.data[row * 6 + unit]);
      expect(Math.abs(column.reduce((a, b) => a + b, 0))).toBeLessThan(1e-12);
      expect(Math.sqrt(column.reduce((a, b) => a + b * b, 0) / 40)).toBeCloseTo(0.5, 9);
    }
    const last = { data: y.data, shape: [10, 4, 6] };
    expect(
      largestDifference(weightNormInit(last, { layout: "channels-last", initScale: 0.5 }).g.data, Array(6).fill(1)),
    ).toBeLessThan(1e-9);
    expect([...weightNormInit(last, { layout: "channels-last", meanOnly: true }).bias.data]).toEqual(Array(6).fill(0));
    expect(() => norm.initialize(() => tensorOf([4, 5], 1))).toThrow(/the layer gave 5 units where the weight has 6/);
  });

  it("folds, with the mean-only batch norm behind it", () => {
    const norm = new WeightNorm(tensorOf([3, 4], 1));
    expect(norm.fold().bias).toBeUndefined();
    const after = new BatchNorm(3, { dtype: "float64" });
    after.runningMean!.set([1, 2, 3]);
    after.bias!.data.set([5, 5, 5]);
    const { weight, bias } = norm.fold(after);
    expect(bits((weight as { data: Float64Array }).data)).toBe(bits(norm.forward().data));
    expect([...(bias as { data: Float64Array }).data]).toEqual([4, 3, 2]);
    expect(() => norm.fold({ runningMean: null })).toThrow(/WeightNorm\.fold: the norm must have a runningMean/);
  });

  it("learns g and v, and keeps them under PyTorch's names, old and new", () => {
    const norm = new WeightNorm(tensorOf([3, 4, 2], 1, "float32"));
    expect(() => norm.backward(tensorOf([3, 4, 2], 2, "float32"))).toThrow(/call forward first/);
    norm.forward();
    const dw = tensorOf([3, 4, 2], 2, "float32");
    const { dv, dg } = norm.backward(dw);
    norm.backward(dw);
    expect(Array.from(norm.g.grad!)).toEqual(Array.from(dg.data, (value) => 2 * value));
    expect(Array.from(norm.v.grad!)).toEqual(Array.from(dv.data, (value) => 2 * value));
    norm.zeroGrad();
    norm.eval().backward(dw);
    expect(norm.g.grad).toBeNull();
    const state = norm.stateDict();
    expect(Object.entries(state).map(([key, { shape }]) => [key, shape])).toEqual([
      ["parametrizations.weight.original0", [3, 1, 1]],
      ["parametrizations.weight.original1", [3, 4, 2]],
    ]);
    const copy = new WeightNorm(tensorOf([3, 4, 2], 9, "float32"));
    expect(copy.loadStateDict(state).stateDict()).toEqual(state);
    const legacy = norm.stateDict({ legacy: true });
    expect(Object.keys(legacy)).toEqual(["weight_g", "weight_v"]);
    const prefixed = { "features.0.weight_g": legacy.weight_g, "features.0.weight_v": legacy.weight_v };
    expect(new WeightNorm(tensorOf([3, 4, 2], 9, "float32")).loadStateDict(prefixed).stateDict()).toEqual(state);
    expect(() => copy.loadStateDict({ weight_g: [1, 2, 3] })).toThrow(
      /state lacks "parametrizations\.weight\.original1"/,
    );
  });

  it("names what does not fit", () => {
    const v = tensorOf([3, 4], 1);
    expect(() => weightNorm(v, { g: [1, 2] })).toThrow(
      /g has 2 elements where 3 are needed, one for each slice of dim 0/,
    );
    expect(() => weightNorm(v, { g: [1, 2], dim: null })).toThrow(/the length of the whole tensor/);
    expect(() => weightNorm(v, { dim: 2 })).toThrow(/dim must name a dimension of v, whose shape is \[3, 4\], got 2/);
    expect(() => weightNorm(v, { eps: 0 })).toThrow(/eps must be a finite number above 0/);
    expect(() => weightNorm({ data: new Float64Array(0), shape: [0] })).toThrow(/v has no elements/);
    const { saved } = weightNormForward(v);
    expect(() => weightNormBackward(tensorOf([4, 3], 1), saved)).toThrow(/dw has shape \[4, 3\] where v has \[3, 4\]/);
    expect(() => weightNormInit(tensorOf([3, 4], 1), { initScale: 0 })).toThrow(/initScale must be/);
    expect(memoryInfo().usedBytes).toBe(0);
  });
});
