import { describe, expect, it } from "vitest";
import { BatchNorm, boundedBatchNorm } from "../../src/index.js";
import { bits, values } from "../support/numbers.js";

describe("bounded batch norm", () => {
  it.each([1, 3, 17, 127])("brings the ratios of %i channels within 1 + epsilon of their mean, and no further", (n) => {
    const weight = values(n, 1, 1.5, 2);
    const runningVar = values(n, 2, 2);
    const ratios = (list: ArrayLike<number>) => Array.from(list, (value, c) => value / Math.sqrt(runningVar[c] + 1e-5));
    const before = ratios(weight);
    const mean = before.reduce((a, b) => a + b, 0) / n;
    for (const epsilon of [0, 0.1, 1, 100]) {
      const after = ratios(boundedBatchNorm(weight, runningVar, { epsilon }).data);
      after.forEach((ratio, c) => {
        const want = Math.min(Math.max(before[c], mean / (1 + epsilon)), mean * (1 + epsilon));
        expect(Math.abs(ratio - want)).toBeLessThan(1e-14);
      });
    }
  });

  it("leaves weights within the bounds, and those of a layer with a mean of 0 or less, to the bit", () => {
    const weight = Float32Array.from([1.1, 0.9, 1]);
    expect(bits(boundedBatchNorm(weight, [1, 1, 1]).data)).toBe(bits(weight));
    const negative = Float32Array.from([-1, -5, 0.5]);
    expect(bits(boundedBatchNorm(negative, [1, 1, 1]).data)).toBe(bits(negative));
    expect([...boundedBatchNorm([1, -1], [1, 1], { eps: 0 }).data]).toEqual([1, -1]);
  });

  it("bounds the weights themselves where relative", () => {
    const { data } = boundedBatchNorm([1, 1, 10], [100, 1e-4, 1], { relative: true });
    expect([...data]).toEqual([2, 2, 8]);
  });

  it("takes the parameters of a layer", () => {
    const norm = new BatchNorm(2);
    norm.weight!.data.set([1, 9]);
    const { data, shape } = boundedBatchNorm(norm.weight!, norm.runningVar!, { eps: norm.eps, epsilon: 0 });
    expect(data).toBeInstanceOf(Float32Array);
    expect([...data, ...shape]).toEqual([5, 5, 2]);
  });

  it("names what does not fit", () => {
    expect(() => boundedBatchNorm([], [])).toThrow(/weight must have at least one element/);
    expect(() => boundedBatchNorm(undefined as never, [1])).toThrow(
      /weight must have at least one element, got undefined/,
    );
    expect(() => boundedBatchNorm([1, 2], [1])).toThrow(/runningVar has 1 elements where 2 are needed/);
    expect(() => boundedBatchNorm([1], [1], { epsilon: -1 })).toThrow(/epsilon must be a finite number of at least 0/);
    expect(() => boundedBatchNorm([1], [1], { eps: -1 })).toThrow(/eps must be/);
  });
});
