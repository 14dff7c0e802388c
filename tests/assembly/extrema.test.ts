import { describe, expect, it } from "vitest";
import { elementBytes, heapOf, kernelsOf, scratch, withScratch } from "../../src/core/memory.js";
import { values } from "../support/numbers.js";

const special = [NaN, Infinity, -Infinity, 0, -0, 2, -2, 0.25];

describe.each(["float32", "float64"] as const)("elementwise kernels of %s", (dtype) => {
  const width = elementBytes(dtype);

  /** Runs a kernel on n elements, in place of them, and checks that it writes no further. */
  function run(x: ArrayLike<number>, kernel: (at: number, n: number) => void): number[] {
    return withScratch(() => {
      const at = scratch((x.length + 4) * width);
      const heap = heapOf(dtype);
      heap.set(x, at / width);
      heap.fill(7, at / width + x.length, at / width + x.length + 4);
      kernel(at, x.length);
      expect([...heap.subarray(at / width + x.length, at / width + x.length + 4)]).toEqual([7, 7, 7, 7]);
      return [...heap.subarray(at / width, at / width + x.length)];
    });
  }

  const inputs = [1, 2, 3, 4, 5, 15, 16, 17, 33].map((n) => [...values(n, n, 0, 4).map(Math.fround)]);

  it("rowClamp brings numbers between bounds and leaves NaN", () => {
    for (const x of [special, ...inputs]) {
      const want = x.map((value) => (Number.isNaN(value) ? NaN : Math.max(-1, Math.min(0.5, value))));
      expect(run(x, (at, n) => kernelsOf(dtype).rowClamp(at, at, n, -1, 0.5))).toEqual(want);
    }
  });

  it("rowSign gives 1, -1 or 0, for NaN too", () => {
    for (const x of [special, ...inputs]) {
      const want = x.map((value) => (value > 0 ? 1 : value < 0 ? -1 : 0));
      expect(run(x, (at, n) => kernelsOf(dtype).rowSign(at, at, n))).toEqual(want);
    }
  });
});
