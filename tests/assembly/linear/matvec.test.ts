import { describe, expect, it } from "vitest";
import { copyF64, elementBytes, heapOf, scratch, scratchF64, withScratch } from "../../../src/core/memory.js";
import { COLUMNS, kernels, kernelsOf, LINEAR, ROWS } from "../../../src/core/parts.js";
import { stageValues } from "../../../src/core/stream.js";
import { largestDifference, values } from "../../support/numbers.js";

const sizes = [1, 2, 3, 5, 17, 31, 33, 127];
const columns = [1, 3, 4, 5, 17, 127, 513, 1023, 4099];

describe.each(["float32", "float64"] as const)("matrix and vector, %s", (dtype) => {
  const k = () => kernelsOf(LINEAR, dtype);
  const width = elementBytes(dtype);
  const round = (list: Float64Array) => (dtype === "float32" ? Float64Array.from(Float32Array.from(list)) : list);
  const ulp = dtype === "float32" ? 2 ** -24 : 2 ** -53;

  it.each(sizes)("%i rows", (rows) => {
    for (const n of columns) {
      const a = round(values(rows * n, 1));
      const x = round(values(n, 2));
      const u = round(values(rows, 3));
      withScratch(() => {
        const at = stageValues(a, dtype);
        const dots = scratchF64(rows);
        const sums = scratchF64(n);
        const workspace = scratch(kernels(COLUMNS).colScratchBytes());
        k().rowDot(dots, at, stageValues(x, dtype), rows, n);
        k().colCombine(sums, at, stageValues(u, dtype), rows, n, workspace);
        const [gotDots, gotSums] = [copyF64(dots, rows), copyF64(sums, n)];
        for (let r = 0; r < rows; r++) {
          let want = 0;
          let size = 0;
          for (let j = 0; j < n; j++) {
            want += a[r * n + j] * x[j];
            size += Math.abs(a[r * n + j] * x[j]);
          }
          // 4 accumulators of 4 or 2 lanes, over blocks of at most 16 KB.
          const terms = Math.min(n, 16384 / width) / (64 / width) + 4;
          if (!(Math.abs(gotDots[r] - want) <= (terms * ulp + 1e-15) * size))
            expect({ r, got: gotDots[r] }).toEqual(want);
        }
        for (let j = 0; j < n; j++) {
          let want = 0;
          let size = 0;
          for (let r = 0; r < rows; r++) {
            want += u[r] * a[r * n + j];
            size += Math.abs(u[r] * a[r * n + j]);
          }
          if (!(Math.abs(gotSums[j] - want) <= (13 * ulp + 1e-15) * size)) expect({ j, got: gotSums[j] }).toEqual(want);
        }
      });
    }
  });

  it("adds to what is there, and gives the same bits in parts cut at blocks", () => {
    const [rows, n] = [70, 9001];
    const a = round(values(rows * n, 4));
    withScratch(() => {
      const at = stageValues(a, dtype);
      const x = stageValues(values(n, 5), dtype);
      const u = stageValues(values(rows, 6), dtype);
      const dots = scratchF64(1);
      const parts = scratchF64(1);
      k().rowDot(dots, at, x, 1, n);
      const block = dtype === "float64" ? kernels(ROWS).rowBlock_f64() : kernels(ROWS).rowBlock_f32();
      k().rowDot(parts, at, x, 1, block);
      k().rowDot(parts, at + block * width, x + block * width, 1, n - block);
      expect(copyF64(parts, 1)).toEqual(copyF64(dots, 1));
      const workspace = scratch(kernels(COLUMNS).colScratchBytes());
      const sums = scratchF64(n);
      const partSums = scratchF64(n);
      k().colCombine(sums, at, u, rows, n, workspace);
      const blockRows = kernels(COLUMNS).colBlockRows(n);
      k().colCombine(partSums, at, u, blockRows, n, workspace);
      const rest = [at + blockRows * n * width, u + blockRows * width] as const;
      k().colCombine(partSums, ...rest, rows - blockRows, n, workspace);
      expect(copyF64(partSums, n)).toEqual(copyF64(sums, n));
    });
  });

  it.each(columns)("adds a product of vectors to rows of %i, in place, and writes not beyond", (n) => {
    const [rows, period] = [5, 2];
    const a = round(values(rows * n, 7));
    const b = round(values(period, 8));
    const w = round(values(3 * n, 9));
    withScratch(() => {
      const at = stageValues([...a, 77, 78], dtype);
      k().rowOuter(at, at, stageValues(b, dtype), stageValues(w, dtype), rows, n, 1, period, 0.5);
      const got = heapOf(dtype).slice(at / width, at / width + rows * n + 2);
      const want = a.map((value, i) => {
        const row = Math.floor(i / n) + 1;
        return 0.5 * value + b[row % period] * w[Math.floor(row / period) * n + (i % n)];
      });
      expect(largestDifference(got.slice(0, rows * n), want)).toBeLessThan(4 * ulp);
      expect([...got.slice(rows * n)]).toEqual([77, 78]);
    });
  });
});
