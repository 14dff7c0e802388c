import { describe, expect, it } from "vitest";
import {
  batchNorm,
  memoryInfo,
  referenceStatistics,
  VirtualBatchNorm,
  virtualBatchNorm,
  virtualBatchNormBackward,
  virtualBatchNormForward,
} from "../../src/index.js";
import { channelsLast, differenceFromNumerical, dot, largestDifference, tensorOf, values } from "../support/numbers.js";

/** Mean and biased variance of a list. */
function moments(list: number[]) {
  const mean = list.reduce((a, b) => a + b) / list.length;
  return { mean, variance: list.reduce((sum, value) => sum + (value - mean) ** 2, 0) / list.length };
}

describe.each([{ shape: [4, 3, 5] }, { shape: [6, 3] }])("x of $shape", ({ shape }) => {
  const x = tensorOf(shape, 1, "float64", 1);
  const reference = tensorOf([7, ...shape.slice(1)], 2, "float64", 0.5);
  const [n, c] = shape;
  const s = x.data.length / (n * c);
  const channel = (t: { data: ArrayLike<number> }, sample: number, j: number) =>
    Array.from({ length: s }, (_, k) => t.data[(sample * c + j) * s + k]);

  it("adds each sample to the reference as one more member", () => {
    const y = virtualBatchNorm(x, { reference });
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < c; j++) {
        const all = Array.from({ length: 7 }, (_, r) => channel(reference, r, j)).flat();
        const { mean, variance } = moments([...all, ...channel(x, i, j)]);
        const want = channel(x, i, j).map((value) => (value - mean) / Math.sqrt(variance + 1e-5));
        expect(largestDifference(channel(y, i, j), want)).toBeLessThan(1e-12);
      }
    }
    const last = virtualBatchNorm(channelsLast(x), { reference: channelsLast(reference), layout: "channels-last" });
    expect(largestDifference(last.data, channelsLast(y).data)).toBeLessThan(1e-13);
  });

  it("depends on no other sample", () => {
    const one = { data: x.data.slice(c * s, 2 * c * s), shape: [1, ...shape.slice(1)] };
    const want = virtualBatchNorm(x, { reference }).data.slice(c * s, 2 * c * s);
    expect(largestDifference(virtualBatchNorm(one, { reference }).data, want)).toBeLessThan(1e-15);
  });

  it("tends to batch norm by the statistics of the reference as it grows", () => {
    const { mean, variance } = referenceStatistics(reference);
    const want = batchNorm(x, { mode: "eval", runningMean: mean, runningVar: variance });
    let before = Number.POSITIVE_INFINITY;
    for (const numSamples of [10, 1000, 1e8]) {
      const y = virtualBatchNorm(x, { reference: { mean, variance, numSamples } });
      const difference = largestDifference(y.data, want.data);
      expect(difference).toBeLessThan(before / 10);
      before = difference;
    }
    expect(before).toBeLessThan(1e-6);
  });

  it("has the gradient of finite differences, in both layouts", () => {
    for (const layout of ["channels-first", "channels-last"] as const) {
      const [input, dy, other] = [x, tensorOf(shape, 3), reference].map((t) =>
        layout === "channels-first" ? t : channelsLast(t),
      );
      const options = { reference: other, weight: values(c, 4, 1, 0.5), bias: values(c, 5), layout };
      const { saved } = virtualBatchNormForward(input, options);
      const { dx, dweight, dbias } = virtualBatchNormBackward(dy, saved);
      const loss = () => dot(virtualBatchNorm(input, options).data, dy.data);
      expect(differenceFromNumerical(loss, input.data as Float64Array, dx.data)).toBeLessThan(1e-7);
      expect(differenceFromNumerical(loss, options.weight, dweight!.data)).toBeLessThan(1e-7);
      expect(differenceFromNumerical(loss, options.bias, dbias!.data)).toBeLessThan(1e-7);
    }
  });
});

it("keeps its digits in f32 where means are large", () => {
  for (const shape of [
    [3, 2, 64],
    [64, 2],
  ]) {
    const at = (rows: number[], seed: number) => {
      const { data } = tensorOf(rows, seed, "float32");
      return { data: data.map((value) => Math.fround(1e6 + Math.round(value * 8) / 8)), shape: rows };
    };
    const [x, reference] = [at(shape, 1), at([5, ...shape.slice(1)], 2)];
    const wide = (t: typeof x) => ({ data: Float64Array.from(t.data), shape: t.shape });
    const y = virtualBatchNorm(x, { reference });
    expect(largestDifference(y.data, virtualBatchNorm(wide(x), { reference: wide(reference) }).data)).toBeLessThan(
      1e-6,
    );
  }
});

it("keeps the reference as a layer, and gives it on normalized by itself", () => {
  const norm = new VirtualBatchNorm(3, { dtype: "float64" });
  const reference = tensorOf([7, 3, 5], 2);
  const x = tensorOf([4, 3, 5], 1);
  expect(() => norm.forward(x)).toThrow(/there is no reference batch; call setReference first/);
  norm.weight!.data.set([1, 2, 3]);
  expect(
    largestDifference(norm.setReference(reference).data, batchNorm(reference, { weight: [1, 2, 3] }).data),
  ).toBeLessThan(1e-14);
  expect(norm.numReferenceSamples).toBe(7);
  const want = virtualBatchNorm(x, { reference, weight: [1, 2, 3] });
  expect(largestDifference(norm.forward(x).data, want.data)).toBeLessThan(1e-14);
  expect(largestDifference(norm.eval().forward(x).data, want.data)).toBeLessThan(1e-14);
  const copy = new VirtualBatchNorm(3, { dtype: "float64" }).loadStateDict(norm.stateDict());
  expect(largestDifference(copy.forward(x).data, want.data)).toBeLessThan(1e-14);
});

it("rejects bad input by name, and stays as it was", () => {
  const x = tensorOf([4, 3], 1);
  expect(() => virtualBatchNorm(x, {} as never)).toThrow(/reference must be \{ data/);
  expect(() => virtualBatchNorm(x, { reference: tensorOf([5, 2], 1) })).toThrow(
    /reference has 2 channels where x has 3/,
  );
  const statistics = { mean: [0, 0, 0], variance: [1, 1], numSamples: 4 };
  expect(() => virtualBatchNorm(x, { reference: statistics })).toThrow(/reference\.variance has 2 elements where 3/);
  const none = { mean: [0, 0, 0], variance: [1, 1, 1], numSamples: 0 };
  expect(() => virtualBatchNorm(x, { reference: none })).toThrow(/reference\.numSamples must be a whole number/);
  const norm = new VirtualBatchNorm(3);
  const before = norm.stateDict();
  expect(() => norm.setReference(tensorOf([5, 2], 1))).toThrow(/reference has 2 channels \(shape \[5, 2\]\)/);
  expect(norm.stateDict()).toEqual(before);
  expect(memoryInfo().usedBytes).toBe(0);
});
