import { describe, expect, it } from "vitest";
import { elementBytes, heap64, heapOf, scratch, scratchF64, withScratch } from "../../../src/core/memory.js";
import { COLUMNS, kernels, kernelsOf, ROWS } from "../../../src/core/parts.js";
import { momentsOf } from "../../support/moments.js";
import { values } from "../../support/numbers.js";

const lengths = [1, 2, 3, 4, 5, 7, 15, 16, 17, 31, 63, 64, 65, 127, 1023, 4095, 4096, 4097, 9001];

describe.each(["float32", "float64"] as const)("moments of %s", (dtype) => {
  const onRows = () => kernelsOf(ROWS, dtype);
  const onColumns = () => kernelsOf(COLUMNS, dtype);
  const width = elementBytes(dtype);
  // Sums over 64 lanes' worth of terms: a few ulps.
  const ulps = dtype === "float32" ? 4e-7 : 1e-14;

  it.each(lengths)("of rows of %i, at offsets 0 to 1e6", (n) => {
    for (const offset of [0, 1e3, 1e6]) {
      const rows = 3;
      const x = values(rows * n, n, offset).map((value) => (dtype === "float32" ? Math.fround(value) : value));
      withScratch(() => {
        const at = scratch(rows * n * width);
        const mean = scratchF64(rows);
        const m2 = scratchF64(rows);
        heapOf(dtype).set(x, at / width);
        onRows().rowMoments(mean, m2, at, rows, n, 0);
        for (let r = 0; r < rows; r++) {
          const want = momentsOf(x.subarray(r * n, (r + 1) * n));
          expect(Math.abs(heap64()[mean / 8 + r] - want.mean)).toBeLessThanOrEqual(ulps + Math.abs(want.mean) * 1e-15);
          const error = Math.abs(heap64()[m2 / 8 + r] - want.m2);
          // Merging blocks takes the difference of two means, each rounded at the offset; they lie within 0.03 here.
          const merging = n > 2048 ? n * 0.03 * offset * 2.3e-16 : 0;
          expect(error).toBeLessThanOrEqual(want.m2 * ulps + n * (offset * 2e-16) ** 2 + merging + 1e-30);
        }
      });
    }
  });

  it.each(lengths.slice(0, 14))("of %i rows of 1 to 19 columns", (rows) => {
    for (const cols of [1, 2, 3, 4, 5, 8, 19]) {
      const x = values(rows * cols, rows, 100).map((value) => (dtype === "float32" ? Math.fround(value) : value));
      withScratch(() => {
        const at = scratch(rows * cols * width);
        const mean = scratchF64(cols);
        const m2 = scratchF64(cols);
        heapOf(dtype).set(x, at / width);
        onColumns().colMoments(mean, m2, at, rows, cols, 0, scratch(kernels(COLUMNS).colScratchBytes()));
        for (let c = 0; c < cols; c++) {
          const want = momentsOf(x.filter((_, i) => i % cols === c));
          expect(Math.abs(heap64()[mean / 8 + c] - want.mean)).toBeLessThanOrEqual(ulps + 1e-13);
          expect(Math.abs(heap64()[m2 / 8 + c] - want.m2)).toBeLessThanOrEqual(want.m2 * ulps + 1e-24 * rows);
        }
      });
    }
  });

  it("of columns whose sampled rows mislead, of folded rows and of constants", () => {
    for (const cols of [1, 5, 19]) {
      const rows = 2 * kernels(COLUMNS).colBlockRows(cols) + 37;
      const x = values(rows * cols, cols, 1e4);
      // The sample is every fourth row of a block (or of folded ones): these lie far off.
      const fold = kernels(COLUMNS).colBlockRows(cols) / kernels(COLUMNS).colBlockRows(16);
      for (let i = 0; i < x.length; i++) {
        if (Math.floor(i / (cols * fold)) % 4 === 0) x[i] += 1e3;
        if (i % cols === 4) x[i] = 0.1;
        if (dtype === "float32") x[i] = Math.fround(x[i]);
      }
      withScratch(() => {
        const at = scratch(rows * cols * width);
        const mean = scratchF64(cols);
        const m2 = scratchF64(cols);
        heapOf(dtype).set(x, at / width);
        onColumns().colMoments(mean, m2, at, rows, cols, 0, scratch(kernels(COLUMNS).colScratchBytes()));
        for (let c = 0; c < cols; c++) {
          const want = momentsOf(x.filter((_, i) => i % cols === c));
          expect(Math.abs(heap64()[mean / 8 + c] - want.mean)).toBeLessThanOrEqual(1e3 * ulps + 1e-11);
          expect(Math.abs(heap64()[m2 / 8 + c] - want.m2)).toBeLessThanOrEqual(want.m2 * ulps + 1e-24 * rows);
        }
      });
    }
  });

  it("of columns wider than a tile agree with rows", () => {
    const [rows, cols] = [37, 1031];
    const x = values(rows * cols, 5);
    withScratch(() => {
      const at = scratch(rows * cols * width);
      const mean = scratchF64(cols);
      const m2 = scratchF64(cols);
      heapOf(dtype).set(x, at / width);
      onColumns().colMoments(mean, m2, at, rows, cols, 0, scratch(kernels(COLUMNS).colScratchBytes()));
      const narrow = heapOf(dtype).slice(at / width, at / width + rows * cols);
      for (const c of [0, 1, 510, 511, 512, 513, 1023, 1030]) {
        const want = momentsOf(narrow.filter((_, i) => i % cols === c));
        expect(Math.abs(heap64()[m2 / 8 + c] - want.m2)).toBeLessThanOrEqual(want.m2 * ulps);
      }
    });
  });

  it("gives the same bits for any split on blocks", () => {
    const block = dtype === "float32" ? kernels(ROWS).rowBlock_f32() : kernels(ROWS).rowBlock_f64();
    const n = 3 * block + 17;
    const x = values(n, 9, 50);
    withScratch(() => {
      const at = scratch(n * width);
      const whole = scratchF64(2);
      const parts = scratchF64(2);
      heapOf(dtype).set(x, at / width);
      onRows().rowMoments(whole, whole + 8, at, 1, n, 0);
      onRows().rowMoments(parts, parts + 8, at, 1, 2 * block, 0);
      onRows().rowMoments(parts, parts + 8, at + 2 * block * width, 1, n - 2 * block, 2 * block);
      const found = heap64();
      expect(found[parts / 8]).toBe(found[whole / 8]);
      expect(found[parts / 8 + 1]).toBe(found[whole / 8 + 1]);
    });
  });

  it.each([1, 2, 3, 4, 7, 16])("a row of %i has the same bits whatever rows lie beside it", (n) => {
    const rows = 9;
    const x = values(rows * n, 6, 1e3);
    // Sums that overflow, in the middle of others.
    if (n > 1) x.fill(dtype === "float32" ? 3e38 : 1e150, 4 * n, 5 * n - 1);
    withScratch(() => {
      const at = scratch(rows * n * width);
      const [mean, m2, oneMean, oneM2] = [rows, rows, 1, 1].map(scratchF64);
      heapOf(dtype).set(x, at / width);
      onRows().rowMoments(mean, m2, at, rows, n, 0);
      for (let r = 0; r < rows; r++) {
        onRows().rowMoments(oneMean, oneM2, at + r * n * width, 1, n, 0);
        expect(heap64()[oneMean / 8]).toBe(heap64()[mean / 8 + r]);
        expect(heap64()[oneM2 / 8]).toBe(heap64()[m2 / 8 + r]);
      }
      if (n > 1) expect(heap64()[m2 / 8 + 4]).toBeGreaterThan(1e70);
    });
  });

  it("keeps NaN and infinity to their row and column", () => {
    const [rows, cols] = [40, 6];
    const x = values(rows * cols, 3);
    x[2 * cols + 1] = Number.NaN;
    x[35 * cols + 4] = Number.POSITIVE_INFINITY;
    withScratch(() => {
      const at = scratch(rows * cols * width);
      const mean = scratchF64(rows);
      const m2 = scratchF64(rows);
      heapOf(dtype).set(x, at / width);
      onColumns().colMoments(mean, m2, at, rows, cols, 0, scratch(kernels(COLUMNS).colScratchBytes()));
      const finite = (n: number) => Array.from({ length: n }, (_, i) => Number.isFinite(heap64()[m2 / 8 + i]));
      expect(finite(cols)).toEqual([true, false, true, true, false, true]);
      onRows().rowMoments(mean, m2, at, rows, cols, 0);
      expect(finite(rows).flatMap((ok, i) => (ok ? [] : [i]))).toEqual([2, 35]);
    });
  });
});

it("rows whose first elements are unlike the rest are as exact as others", () => {
  for (const [n, head] of [
    [17, 1e3],
    [1000, 1e6],
    [5000, -1e4],
  ]) {
    const x = Float32Array.from(values(n, 7), (value, i) => (i % 4096 < 16 ? head + value : value));
    const want = momentsOf(x);
    withScratch(() => {
      const at = scratch(n * 4);
      const [mean, m2] = [scratchF64(1), scratchF64(1)];
      heapOf("float32").set(x, at / 4);
      kernelsOf(ROWS, "float32").rowMoments(mean, m2, at, 1, n, 0);
      // Sums in lanes are a few ulps off, relative to the deviation.
      const deviation = Math.sqrt(want.m2 / n);
      expect(Math.abs(heap64()[mean / 8] - want.mean)).toBeLessThanOrEqual(4e-7 * deviation);
      expect(Math.abs(heap64()[m2 / 8] - want.m2)).toBeLessThanOrEqual(4e-7 * want.m2);
    });
  }
});

describe("f32 sums that overflow", () => {
  it("are taken again in f64", () => {
    const n = 40;
    const x = Float32Array.from(values(n, 1, 0, 1e30));
    const want = momentsOf(x);
    withScratch(() => {
      const at = scratch(n * 4);
      const mean = scratchF64(n);
      const m2 = scratchF64(n);
      heapOf("float32").set(x, at / 4);
      kernelsOf(ROWS, "float32").rowMoments(mean, m2, at, 1, n, 0);
      expect(heap64()[m2 / 8] / want.m2).toBeCloseTo(1, 12);
      kernelsOf(COLUMNS, "float32").colMoments(mean, m2, at, n, 1, 0, scratch(kernels(COLUMNS).colScratchBytes()));
      expect(heap64()[m2 / 8] / want.m2).toBeCloseTo(1, 12);
      kernelsOf(ROWS, "float32").rowSquares(m2, at, 1, n, 0);
      const squares = x.reduce((sum, value) => sum + value * value, 0);
      expect(heap64()[m2 / 8] / squares).toBeCloseTo(1, 12);
    });
  });
});

describe("mergeMoments", () => {
  it("equals the moments of the whole, and an empty part is the identity", () => {
    const x = values(100, 4, 1e4);
    const parts = [x.subarray(0, 37), x.subarray(37, 37), x.subarray(37)];
    const want = momentsOf(x);
    withScratch(() => {
      const into = scratchF64(3);
      const part = scratchF64(3);
      for (const chunk of parts) {
        const { mean, m2 } = momentsOf(chunk);
        heap64().set([chunk.length, mean, m2], part / 8);
        kernels(COLUMNS).mergeMoments(into, into + 8, into + 16, part, part + 8, part + 16, 1);
      }
      const [count, mean, m2] = heap64().subarray(into / 8);
      expect(count).toBe(100);
      expect(Math.abs(mean - want.mean)).toBeLessThan(1e-11);
      expect(Math.abs(m2 / want.m2 - 1)).toBeLessThan(1e-11);
    });
  });
});
