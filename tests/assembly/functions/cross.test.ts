import { describe, expect, it } from "vitest";
import { copyF64, elementBytes, heapOf, scratchF64, withScratch } from "../../../src/core/memory.js";
import { FUNCTIONS, kernelsOf } from "../../../src/core/parts.js";
import { stageValues } from "../../../src/core/stream.js";
import { largestDifference, values } from "../../support/numbers.js";

describe.each(["float32", "float64"] as const)("matrices of %s by rows and columns", (dtype) => {
  const k = () => kernelsOf(FUNCTIONS, dtype);
  const width = elementBytes(dtype);
  const rounded = (list: Float64Array) => (dtype === "float32" ? list.map(Math.fround) : list);
  const ulps = dtype === "float32" ? 1e-7 : 1e-13;
  const factor = 0.25;
  const base = 0.5;

  it.each([1, 2, 3, 5, 17, 31, 127, 1023])("of 3 rows of %i", (n) => {
    const rows = 3;
    const [x, dy] = [rounded(values(rows * n, n, 2)), rounded(values(rows * n, n + 1))];
    const ofRows = {
      mean: values(rows, 1),
      variance: values(rows, 2, 1, 0.5),
      slope: values(rows, 3),
      shift: values(rows, 4),
    };
    const ofCols = { mean: values(n, 5, 2), variance: values(n, 6, 1, 0.5), slope: values(n, 7), shift: values(n, 8) };
    const [w, b] = [values(n, 9), values(n, 10)];
    const at = (i: number) => {
      const [r, c] = [Math.floor(i / n), i % n];
      const d = x[i] - ofCols.mean[c] - ofRows.mean[r];
      const rstd = 1 / Math.sqrt(ofRows.variance[r] + ofCols.variance[c] + factor * d * d);
      return { r, c, d, rstd, g: dy[i] * w[c] };
    };
    const cells = Array.from(x, (_, i) => at(i));
    const sums = (number: number, group: (i: number) => number, term: (i: number) => number) => {
      const found = new Float64Array(number);
      for (let i = 0; i < x.length; i++) found[group(i)] += term(i);
      return found;
    };
    const byRow = (term: (i: number) => number) => sums(rows, (i) => Math.floor(i / n), term);
    const byCol = (term: (i: number) => number) => sums(n, (i) => i % n, term);
    withScratch(() => {
      const f64 = (list: Float64Array) => stageValues(list, "float64");
      const [rm, rv, rs, rh] = [ofRows.mean, ofRows.variance, ofRows.slope, ofRows.shift].map(f64);
      const [cm, cv, cs, ch] = [ofCols.mean, ofCols.variance, ofCols.slope, ofCols.shift].map(f64);
      const [weight, bias] = [f64(w), f64(b)];

      const y = stageValues([...x, 77, 77, 77], dtype);
      k().crossStandardize(y, y, rm, rv, cm, cv, weight, bias, rows, n, factor);
      const wantY = cells.map(({ c, d, rstd }) => d * rstd * w[c] + b[c]);
      const gotY = heapOf(dtype).slice(y / width, y / width + rows * n + 3);
      expect(largestDifference(gotY, [...wantY, 77, 77, 77])).toBeLessThanOrEqual(2 * ulps);

      const from = stageValues(x, dtype);
      const [rowG, rowGD] = [scratchF64(rows), scratchF64(rows)];
      const [colG, colGD, colX, colDy] = [scratchF64(n), scratchF64(n), scratchF64(n), scratchF64(n)];
      const grad = stageValues([...dy, 77, 77, 77], dtype);
      k().crossGradSums(rowG, rowGD, colG, colGD, colX, colDy, grad, from, rm, rv, cm, cv, weight, rows, n, factor);
      const gr = (i: number) => cells[i].g * cells[i].rstd;
      const gdr = (i: number) => cells[i].g * cells[i].d * cells[i].rstd ** 3;
      const close = 1e-13 * n + 1e-13;
      expect(largestDifference(copyF64(rowG, rows), byRow(gr))).toBeLessThan(close);
      expect(largestDifference(copyF64(rowGD, rows), byRow(gdr))).toBeLessThan(close);
      expect(largestDifference(copyF64(colG, n), byCol(gr))).toBeLessThan(close);
      expect(largestDifference(copyF64(colGD, n), byCol(gdr))).toBeLessThan(close);
      expect(
        largestDifference(
          copyF64(colX, n),
          byCol((i) => dy[i] * cells[i].d * cells[i].rstd),
        ),
      ).toBeLessThan(close);
      expect(
        largestDifference(
          copyF64(colDy, n),
          byCol((i) => dy[i]),
        ),
      ).toBeLessThan(close);

      k().crossGrad(grad, grad, from, rm, rv, cm, cv, weight, rs, rh, cs, ch, rows, n, base, factor);
      const wantDx = cells.map(({ r, c, d, rstd, g }, i) => {
        const through = (x[i] - base) * (ofRows.slope[r] + ofCols.slope[c]) + ofRows.shift[r] + ofCols.shift[c];
        return g * rstd * (1 - factor * d * d * rstd * rstd) + through;
      });
      const gotDx = heapOf(dtype).slice(grad / width, grad / width + rows * n + 3);
      expect(largestDifference(gotDx, [...wantDx, 77, 77, 77])).toBeLessThanOrEqual(8 * ulps);
    });
  });
});
