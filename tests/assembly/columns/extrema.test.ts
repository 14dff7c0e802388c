import { describe, expect, it } from "vitest";
import { elementBytes, heapOf, scratch, withScratch } from "../../../src/core/memory.js";
import { COLUMNS, kernelsOf } from "../../../src/core/parts.js";
import { values } from "../../support/numbers.js";

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

  it("eachClamp brings numbers between bounds and leaves NaN", () => {
    for (const x of [special, ...inputs]) {
      const want = x.map((value) => (Number.isNaN(value) ? NaN : Math.max(-1, Math.min(0.5, value))));
      expect(run(x, (at, n) => kernelsOf(COLUMNS, dtype).eachClamp(at, at, n, -1, 0.5))).toEqual(want);
    }
  });

  it("colMinMax finds the least and greatest of each column, and passes over NaN", () => {
    const x = Float64Array.from(values(40 * 67, 1, 0, 4), (value, i) => (i % 11 === 3 ? NaN : Math.fround(value)));
    for (const cols of [1, 2, 3, 4, 5, 7, 8, 16, 17, 40]) {
      for (const rows of [0, 1, 3, 4, 5, 8, 15, 16, 17, 67]) {
        withScratch(() => {
          const at = [scratch((cols + 4) * width), scratch((cols + 4) * width)];
          const rowsAt = scratch(rows * cols * width);
          const heap = heapOf(dtype);
          heap.set(x.subarray(0, rows * cols), rowsAt / width);
          at.forEach((found, i) => {
            heap.fill(i ? -Infinity : Infinity, found / width, found / width + cols);
            heap.fill(7, found / width + cols, found / width + cols + 4);
          });
          kernelsOf(COLUMNS, dtype).colMinMax(at[0], at[1], rowsAt, rows, cols);
          const column = (j: number) =>
            Array.from({ length: rows }, (_, i) => x[i * cols + j]).filter((value) => !Number.isNaN(value));
          for (let j = 0; j < cols; j++) {
            expect(heap[at[0] / width + j]).toBe(Math.min(...column(j)));
            expect(heap[at[1] / width + j]).toBe(Math.max(...column(j)));
          }
          for (const found of at) {
            expect([...heap.subarray(found / width + cols, found / width + cols + 4)]).toEqual([7, 7, 7, 7]);
          }
        });
      }
    }
  });
});
