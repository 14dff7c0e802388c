import { describe, expect, it } from "vitest";
import {
  LocalResponseNorm,
  localResponseNorm,
  localResponseNormBackward,
  localResponseNormForward,
} from "../../src/index.js";
import { bits, channelsLast, differenceFromNumerical, dot, largestDifference, tensorOf } from "../support/numbers.js";

describe("localResponseNorm", () => {
  const settings = [
    { size: 1 },
    { size: 2, alpha: 0.5, beta: 1, k: 0.5 },
    { size: 5, alpha: 1, beta: 0.75 },
    { size: 9, alpha: 0.3, beta: 1.7, k: 2 },
  ];

  it.each(settings)("has the gradient of finite differences, in both layouts: $size", (options) => {
    for (const shape of [
      [2, 3, 5],
      [1, 7, 3, 2],
      [3, 17],
    ]) {
      const x = tensorOf(shape, 1);
      const dy = tensorOf(shape, 2);
      const { y, saved } = localResponseNormForward(x, options);
      const { dx } = localResponseNormBackward(dy, saved);
      const loss = () => dot(localResponseNorm(x, options).data, dy.data);
      expect(differenceFromNumerical(loss, x.data as Float64Array, dx.data)).toBeLessThan(1e-7);
      if (shape.length < 3) continue;
      const layout = "channels-last";
      const last = localResponseNormForward(channelsLast(x), { ...options, layout });
      expect(largestDifference(last.y.data, channelsLast(y).data)).toBeLessThan(1e-14);
      const back = localResponseNormBackward(channelsLast(dy), last.saved);
      expect(largestDifference(back.dx.data, channelsLast(dx).data)).toBeLessThan(1e-13);
    }
  });

  it("works in place, and as a layer", () => {
    const x = tensorOf([2, 5, 4], 1, "float32");
    const dy = tensorOf([2, 5, 4], 2, "float32");
    const layer = new LocalResponseNorm({ size: 3, alpha: 1 });
    expect(() => layer.backward(dy)).toThrow(/call forward first/);
    const y = layer.forward(x);
    const dx = bits(layer.backward(dy).data);
    layer.backward(dy, { out: dy });
    expect(bits(dy.data)).toBe(dx);
    localResponseNorm(x, { size: 3, alpha: 1, out: x });
    expect(bits(x.data)).toBe(bits(y.data));
  });

  it("names what is wrong", () => {
    const x = tensorOf([2, 5, 4], 1);
    expect(() => localResponseNorm(x, { size: 0 })).toThrow(/size must be a whole number of at least 1, got 0/);
    expect(() => localResponseNorm(x, { size: 3, beta: -1 })).toThrow(/beta must be/);
    expect(() => new LocalResponseNorm({ size: 2.5 })).toThrow(/size must be/);
  });
});
