import { describe, expect, it } from "vitest";
import {
  BatchInstanceNorm,
  BatchNorm,
  batchInstanceNorm,
  batchInstanceNormBackward,
  batchInstanceNormForward,
  batchNorm,
  batchNormBackward,
  batchNormForward,
  instanceNorm,
  instanceNormBackward,
  instanceNormForward,
  memoryInfo,
} from "../../src/index.js";
import { channelsLast, differenceFromNumerical, dot, largestDifference, tensorOf, values } from "../support/numbers.js";

const shape = [3, 4, 2, 5];
const x = tensorOf(shape, 1, "float64", 4);
const dy = tensorOf(shape, 2);
const [weight, bias] = [values(4, 3, 1, 0.5), values(4, 4)];
const running = { runningMean: values(4, 5), runningVar: values(4, 6, 1, 0.5) };

describe.each(["channels-first", "channels-last"] as const)("%s", (layout) => {
  const [input, gradient] = layout === "channels-first" ? [x, dy] : [channelsLast(x), channelsLast(dy)];

  it("with rho 1 is batch norm, with rho 0 instance norm, forward and backward", () => {
    const options = { weight, bias, layout };
    const ends = [
      [1, batchNormForward, batchNormBackward],
      [0, instanceNormForward, instanceNormBackward],
    ] as const;
    for (const [rho, forward, backward] of ends) {
      const found = batchInstanceNormForward(input, { ...options, rho: new Float64Array(4).fill(rho) });
      const want = forward(input, options);
      expect(largestDifference(found.y.data, want.y.data)).toBeLessThan(1e-12);
      const grads = batchInstanceNormBackward(gradient, found.saved);
      const wanted = backward(gradient, want.saved as never);
      expect(largestDifference(grads.dx.data, wanted.dx.data)).toBeLessThan(1e-12);
      expect(largestDifference(grads.dweight!.data, wanted.dweight!.data)).toBeLessThan(1e-12);
      expect(largestDifference(grads.dbias!.data, wanted.dbias!.data)).toBeLessThan(1e-12);
    }
  });

  it("mixes the two, beyond 0 and 1 too", () => {
    const rho = Float64Array.of(0.25, 0.5, -0.5, 1.5);
    const y = batchInstanceNorm(input, { rho, weight, bias, layout });
    const [batch, instance] = [batchNorm(input, { layout }), instanceNorm(input, { layout })];
    const channelAt = (i: number) => (layout === "channels-first" ? Math.floor(i / 10) % 4 : i % 4);
    for (let i = 0; i < y.data.length; i++) {
      const c = channelAt(i);
      const mixed = rho[c] * batch.data[i] + (1 - rho[c]) * instance.data[i];
      expect(y.data[i]).toBeCloseTo(mixed * weight[c] + bias[c], 11);
    }
  });

  it.each(["train", "eval"] as const)("has the gradients of finite differences in mode %s", (mode) => {
    const rho = values(4, 7, 0.5, 0.4);
    const options = { rho, weight, bias, layout, mode, ...running };
    const { saved } = batchInstanceNormForward(input, options);
    const { dx, drho, dweight, dbias } = batchInstanceNormBackward(gradient, saved);
    const loss = () => dot(batchInstanceNorm(input, options).data, gradient.data);
    expect(differenceFromNumerical(loss, input.data as Float64Array, dx.data)).toBeLessThan(1e-7);
    expect(differenceFromNumerical(loss, rho, drho!.data)).toBeLessThan(1e-7);
    expect(differenceFromNumerical(loss, weight, dweight!.data)).toBeLessThan(1e-7);
    expect(differenceFromNumerical(loss, bias, dbias!.data)).toBeLessThan(1e-7);
  });
});

describe("the layer", () => {
  it("keeps running statistics as batch norm does, and learns rho", () => {
    const norm = new BatchInstanceNorm(4, { dtype: "float64" });
    const plain = new BatchNorm(4, { dtype: "float64" });
    norm.forward(x);
    plain.forward(x);
    expect(largestDifference(norm.runningMean!, plain.runningMean!)).toBeLessThan(1e-15);
    expect(largestDifference(norm.runningVar!, plain.runningVar!)).toBeLessThan(1e-14);
    expect(Object.keys(norm.parameters())).toEqual(["weight", "bias", "rho"]);
    norm.backward(dy);
    expect(norm.rho.grad!.length).toBe(4);
    norm.zeroGrad();
    expect(norm.rho.grad).toBeNull();
    norm.eval();
    norm.forward(x);
    norm.backward(dy);
    expect(norm.rho.grad).toBeNull();
  });

  it("holds rho to [0, 1] when asked to, and takes it as gate from elsewhere", () => {
    const norm = new BatchInstanceNorm(3);
    norm.rho.data.set([-1, 0.5, 2]);
    norm.clampRho();
    expect([...norm.rho.data]).toEqual([0, 0.5, 1]);
    expect(BatchInstanceNorm.rhoLearningRateMultiplier).toBe(10);
    const { rho, ...state } = norm.stateDict();
    expect([...new BatchInstanceNorm(3).loadStateDict({ ...state, gate: rho.data }).rho.data]).toEqual([0, 0.5, 1]);
  });
});

it("rejects bad input by name, and stays as it was", () => {
  expect(() => batchInstanceNorm(x, { rho: [1] })).toThrow(/rho has 1 elements where 4 are needed/);
  expect(() => batchInstanceNorm(tensorOf([3, 4], 1))).toThrow(/more than one position.*use batchNorm/);
  expect(() => batchInstanceNorm(x, { mode: "eval" })).toThrow(/must be given in mode "eval"/);
  const norm = new BatchInstanceNorm(4);
  const before = norm.stateDict();
  expect(() => norm.forward(tensorOf([3, 4], 1))).toThrow(/one position/);
  expect(() => norm.forward(tensorOf([3, 5, 2], 1))).toThrow(/x has 5 channels/);
  expect(norm.stateDict()).toEqual(before);
  expect(memoryInfo().usedBytes).toBe(0);
});
