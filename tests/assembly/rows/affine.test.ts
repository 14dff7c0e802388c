import { describe, expect, it } from "vitest";
import { elementBytes, heapOf, scratch, withScratch } from "../../../src/core/memory.js";
import { COLUMNS, kernelsOf, ROWS } from "../../../src/core/parts.js";
import { stageValues } from "../../../src/core/stream.js";
import { values } from "../../support/numbers.js";

describe.each(["float32", "float64"] as const)("products of %s with f64 factors", (dtype) => {
  const round = dtype === "float64" ? (value: number) => value : Math.fround;

  /** What a kernel makes of x, in place; it may write no further. */
  function transformed(x: Float64Array, kernel: (at: number) => void): number[] {
    const width = elementBytes(dtype);
    const at = scratch((x.length + 4) * width);
    const heap = heapOf(dtype).subarray(at / width, at / width + x.length + 4);
    heap.fill(7);
    heap.set(x);
    kernel(at);
    expect([...heap.subarray(x.length)]).toEqual([7, 7, 7, 7]);
    return [...heap.subarray(0, x.length)];
  }

  it.each([1, 2, 3, 4, 5, 16, 17, 33])("are rounded once: %i columns", (n) => {
    const rows = 5;
    const x = values(rows * n, 1).map(round);
    withScratch(() => {
      const onRows = kernelsOf(ROWS, dtype);
      const onColumns = kernelsOf(COLUMNS, dtype);
      const period = 3;
      const first = 2;
      const ofRows = values(period, 2);
      const byRow = transformed(x, (at) => {
        onRows.rowScaleWide(at, at, stageValues(ofRows, "float64"), rows, n, first, period);
      });
      expect(byRow).toEqual([...x].map((value, i) => round(value * ofRows[(first + Math.floor(i / n)) % period])));
      const ofColumns = values(n, 3);
      const byColumn = transformed(x, (at) =>
        onColumns.colScaleWide(at, at, stageValues(ofColumns, "float64"), rows, n),
      );
      expect(byColumn).toEqual([...x].map((value, i) => round(value * ofColumns[i % n])));
    });
  });
});
