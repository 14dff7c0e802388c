import { describe, expect, it } from "vitest";
import { sliceLengths, slicesOf } from "../../src/core/slices.js";
import { readTensor } from "../../src/core/tensor.js";
import { tensorOf } from "../support/numbers.js";

/** Lengths by walking over all elements. */
function reference(x: { data: ArrayLike<number>; shape: number[] }, along: boolean[], centered: boolean) {
  const strides = x.shape.map((_, axis) => x.shape.slice(axis + 1).reduce((a, b) => a * b, 1));
  const members = new Map<string, number[]>();
  for (let i = 0; i < x.data.length; i++) {
    const index = x.shape.map((size, axis) => Math.floor(i / strides[axis]) % size);
    const key = index.filter((_, axis) => !along[axis]).join();
    members.set(key, [...(members.get(key) ?? []), x.data[i]]);
  }
  return [...members.values()].map((list) => {
    const mean = centered ? list.reduce((a, b) => a + b, 0) / list.length : 0;
    return Math.sqrt(list.reduce((sum, value) => sum + (value - mean) ** 2, 0));
  });
}

describe("slices along any axes", () => {
  it.each([
    [[7]],
    [[5, 3]],
    [[1, 4]],
    [[4, 1]],
    [[2, 3, 4]],
    [[3, 1, 2]],
    [[2, 3, 2, 3]],
    [[2, 1, 3, 1, 2]],
    [[3, 2, 2, 3, 2]],
  ])("of %j have the right lengths", (shape) => {
    const x = tensorOf(shape, 1, "float64", 0.5);
    for (let choice = 0; choice < 2 ** shape.length; choice++) {
      const along = shape.map((_, axis) => (choice & (1 << axis)) !== 0);
      const slices = slicesOf(shape, (axis) => along[axis]);
      expect(slices.shape).toEqual(shape.filter((_, axis) => !along[axis]));
      for (const centered of [false, true]) {
        const { length } = sliceLengths(readTensor("test", "x", x), slices, centered);
        const want = reference(x, along, centered);
        expect(length.length).toBe(want.length);
        want.forEach((value, i) => {
          expect(Math.abs(length[i] - value)).toBeLessThan(1e-15 * 16);
        });
      }
    }
  });

  it("take equal elements for a centered length of 0, at any magnitude", () => {
    for (const dtype of ["float32", "float64"] as const) {
      for (const n of [1, 2, 3, 17, 1023, 4097, 9001]) {
        for (const value of [0.1, 1 / 3, 1e6 / 7, 1e-10, 0]) {
          const x = tensorOf([1, n], 1, dtype);
          x.data.fill(value);
          const slices = slicesOf([1, n], (axis) => axis === 1);
          expect(sliceLengths(readTensor("test", "x", x), slices, true).length[0]).toBe(0);
          if (n === 1 || value === 0) continue;
          x.data[n - 1] *= 1.000001;
          expect(sliceLengths(readTensor("test", "x", x), slices, true).length[0]).toBeGreaterThan(0);
        }
      }
    }
  });
});
