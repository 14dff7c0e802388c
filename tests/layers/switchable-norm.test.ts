import { describe, expect, it } from "vitest";
import {
  batchNorm,
  groupNorm,
  instanceNorm,
  memoryInfo,
  type StatisticsKind,
  SwitchableNorm,
  switchableNorm,
  switchableNormBackward,
  switchableNormForward,
} from "../../src/index.js";
import { channelsLast, differenceFromNumerical, dot, largestDifference, tensorOf, values } from "../support/numbers.js";

const image = [3, 4, 2, 3];
const dense = [7, 5];
const gates: Array<{ kind: StatisticsKind; shape: number[] }> = [
  { kind: "instance", shape: image },
  { kind: "layer", shape: image },
  { kind: "batch", shape: image },
  { kind: "layer", shape: dense },
  { kind: "batch", shape: dense },
];

describe.each(["channels-first", "channels-last"] as const)("%s", (layout) => {
  const given = (shape: number[], seed: number, offset = 0) => {
    const x = tensorOf(shape, seed, "float64", offset);
    return layout === "channels-first" ? x : channelsLast(x);
  };

  it.each(gates)("with the gate of $kind alone is the plain method for $shape", ({ kind, shape }) => {
    const x = given(shape, 1, 3);
    const c = shape[1];
    const options = { weight: values(c, 2, 1, 0.5), bias: values(c, 3), layout };
    const kinds: StatisticsKind[] = shape.length === 2 ? ["layer", "batch"] : ["instance", "layer", "batch"];
    const logits = kinds.map((other) => (other === kind ? 800 : 0));
    const plain = {
      instance: () => instanceNorm(x, options),
      layer: () => groupNorm(x, { ...options, numGroups: 1 }),
      batch: () => batchNorm(x, options),
    };
    const want = plain[kind]();
    const mixed = switchableNorm(x, { ...options, meanLogits: logits, varLogits: logits });
    expect(largestDifference(mixed.data, want.data)).toBeLessThan(1e-12);
    const alone = switchableNorm(x, { ...options, statistics: [kind] });
    expect(largestDifference(alone.data, want.data)).toBeLessThan(1e-12);
  });

  it.each([
    { shape: image, options: {} },
    { shape: image, options: { mode: "eval" } },
    { shape: image, options: { unbiasedInstanceVar: true } },
    { shape: image, options: { statistics: ["batch", "instance"] } },
    { shape: dense, options: {} },
    { shape: dense, options: { mode: "eval" } },
    { shape: dense, options: { statistics: ["batch"] } },
    { shape: dense, options: { statistics: ["layer"] } },
  ] as const)("has the gradients of finite differences for $shape, $options", ({ shape, options }) => {
    const [x, dy] = [given([...shape], 1), given([...shape], 2)];
    const c = shape[1];
    const usual = shape.length === 2 ? 2 : 3;
    const number = "statistics" in options ? (options.statistics?.length ?? usual) : usual;
    const [weight, bias] = [values(c, 3, 1, 0.5), values(c, 4)];
    const [meanLogits, varLogits] = [values(number, 5), values(number, 6)];
    const running = { runningMean: values(c, 7), runningVar: values(c, 8, 1, 0.5) };
    const all = { weight, bias, meanLogits, varLogits, layout, ...running, ...options };
    const { saved } = switchableNormForward(x, all);
    const grads = switchableNormBackward(dy, saved);
    const loss = () => dot(switchableNorm(x, all).data, dy.data);
    expect(differenceFromNumerical(loss, x.data as Float64Array, grads.dx.data)).toBeLessThan(1e-7);
    expect(differenceFromNumerical(loss, weight, grads.dweight!.data)).toBeLessThan(1e-7);
    expect(differenceFromNumerical(loss, bias, grads.dbias!.data)).toBeLessThan(1e-7);
    expect(differenceFromNumerical(loss, meanLogits, grads.dmeanLogits!.data)).toBeLessThan(1e-7);
    expect(differenceFromNumerical(loss, varLogits, grads.dvarLogits!.data)).toBeLessThan(1e-7);
  });
});

it("has the same gradients of logits wherever the data lie", () => {
  for (const shape of [image, dense]) {
    const number = shape.length === 2 ? 2 : 3;
    const options = { meanLogits: values(number, 5), varLogits: values(number, 6), eps: 1e-3 };
    const gradsAt = (offset: number) => {
      // Eighths stay exact under the offset.
      const data = tensorOf(shape, 1).data.map((value) => Math.round(value * 8) / 8 + offset);
      const { saved } = switchableNormForward({ data, shape }, options);
      return switchableNormBackward(tensorOf(shape, 2), saved);
    };
    const [near, far] = [gradsAt(0), gradsAt(1 << 20)];
    expect(largestDifference(far.dmeanLogits!.data, near.dmeanLogits!.data)).toBeLessThan(1e-8);
    expect(largestDifference(far.dvarLogits!.data, near.dvarLogits!.data)).toBeLessThan(1e-8);
  }
});

it("takes instance variances with n − 1 into those of layer and batch where asked to", () => {
  const x = tensorOf(image, 1);
  const s = 6;
  const cells = Array.from({ length: 12 }, (_, i) => {
    const list = Array.from(x.data.slice(i * s, (i + 1) * s));
    const mean = list.reduce((a, b) => a + b) / s;
    return { mean, variance: list.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (s - 1) };
  });
  const average = (list: number[]) => list.reduce((a, b) => a + b) / list.length;
  const y = switchableNorm(x, { unbiasedInstanceVar: true, statistics: ["layer"], eps: 0 });
  for (let n = 0; n < 3; n++) {
    const own = cells.slice(4 * n, 4 * n + 4);
    const mean = average(own.map((cell) => cell.mean));
    const variance = average(own.map((cell) => cell.variance + cell.mean ** 2)) - mean ** 2;
    for (let i = 24 * n; i < 24 * (n + 1); i++)
      expect(y.data[i]).toBeCloseTo((x.data[i] - mean) / Math.sqrt(variance), 11);
  }
});

describe("the layer", () => {
  it("keeps biased running variances, and averages all batches with momentum null", () => {
    const norm = new SwitchableNorm(4, { momentum: null, dtype: "float64" });
    const other = tensorOf([2, 4, 5], 9);
    norm.forward(tensorOf(image, 1));
    norm.forward(other);
    const moments = [tensorOf(image, 1), other].map((x) => {
      const s = x.data.length / (x.shape[0] * 4);
      const list = Array.from(x.data).filter((_, i) => Math.floor(i / s) % 4 === 2);
      const mean = list.reduce((a, b) => a + b) / list.length;
      return { mean, variance: list.reduce((sum, value) => sum + (value - mean) ** 2, 0) / list.length };
    });
    expect(norm.runningMean![2]).toBeCloseTo((moments[0].mean + moments[1].mean) / 2, 13);
    expect(norm.runningVar![2]).toBeCloseTo((moments[0].variance + moments[1].variance) / 2, 13);
  });

  it("learns its logits, has no say at first with lastGamma, and takes the names of the paper's code", () => {
    const norm = new SwitchableNorm(4, { lastGamma: true, dtype: "float64" });
    expect(norm.forward(tensorOf(image, 1)).data.every((value) => value === 0)).toBe(true);
    norm.weight!.data.fill(1);
    norm.forward(tensorOf(image, 1));
    norm.backward(tensorOf(image, 2));
    expect(Object.keys(norm.parameters())).toEqual(["weight", "bias", "meanLogits", "varLogits"]);
    expect(norm.meanLogits.grad!.some((value) => value !== 0)).toBe(true);
    expect(norm.varLogits.grad!.some((value) => value !== 0)).toBe(true);
    const state = norm.stateDict();
    expect(Object.keys(state)).toContain("mean_weight");
    expect(new SwitchableNorm(4, { dtype: "float64" }).loadStateDict(state).stateDict()).toEqual(state);
  });
});

it("rejects bad input by name, and stays as it was", () => {
  const x = tensorOf(image, 1);
  expect(() => switchableNorm(x, { meanLogits: [1, 2] })).toThrow(
    /meanLogits has 2 elements where 3 are needed.*instance/,
  );
  expect(() => switchableNorm(x, { varLogits: [1, 2, 3, 4] })).toThrow(/varLogits has 4 elements/);
  expect(() => switchableNorm(x, { statistics: [] })).toThrow(/statistics must be a list of different kinds/);
  expect(() => switchableNorm(x, { statistics: ["layer", "layer"] })).toThrow(/different kinds/);
  expect(() => switchableNorm(x, { statistics: ["group" as never] })).toThrow(
    /each of statistics must be "instance" or/,
  );
  expect(() => switchableNorm(tensorOf(dense, 1), { statistics: ["instance"] })).toThrow(/more than one position/);
  expect(() => switchableNorm(tensorOf([1, 5], 1))).toThrow(/x has 1 value a channel/);
  const norm = new SwitchableNorm(4);
  const before = norm.stateDict();
  expect(() => norm.forward(tensorOf([5, 4], 1))).toThrow(/use statistics \["layer", "batch"\]/);
  expect(norm.stateDict()).toEqual(before);
  expect(memoryInfo().usedBytes).toBe(0);
});
