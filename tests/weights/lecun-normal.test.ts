import { expect, it } from "vitest";
import { lecunNormal } from "../../src/index.js";
import { bits } from "../support/numbers.js";

const variance = (x: ArrayLike<number>) => Array.from(x).reduce((sum, value) => sum + value * value, 0) / x.length;

it("has variance 1/fanIn, the inputs of a unit", () => {
  expect(variance(lecunNormal([100, 400], { gain: 2 }).data) * 400).toBeCloseTo(4, 1);
  expect(variance(lecunNormal([64, 16, 3, 3]).data) * 144).toBeCloseTo(1, 1);
  expect(variance(lecunNormal([30000], { fanIn: 9, dtype: "float64" }).data) * 9).toBeCloseTo(1, 1);
});

it("is a function of the seed", () => {
  const w = lecunNormal([5, 7], { seed: 3 });
  expect([w.data.constructor, w.shape]).toEqual([Float32Array, [5, 7]]);
  expect(bits(lecunNormal([5, 7], { seed: 3 }).data)).toBe(bits(w.data));
  expect(bits(lecunNormal([5, 7]).data)).not.toBe(bits(w.data));
});

it("names what does not fit", () => {
  expect(() => lecunNormal([0, 3])).toThrow(/shape must hold whole numbers of at least 1, got \[0, 3\]/);
  expect(() => lecunNormal([2], { fanIn: 0 })).toThrow(/fanIn must be/);
  expect(() => lecunNormal([2], { dtype: "float16" as never })).toThrow(/dtype must be/);
  expect(() => lecunNormal([2], { seed: -1 })).toThrow(/seed must be/);
});
