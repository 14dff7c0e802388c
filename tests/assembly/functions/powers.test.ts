import { describe, expect, it } from "vitest";
import { copyF64, elementBytes, heapOf, scratch, scratchF64, withScratch } from "../../../src/core/memory.js";
import { COLUMNS, FUNCTIONS, kernels, kernelsOf } from "../../../src/core/parts.js";
import { stageValues } from "../../../src/core/stream.js";
import { values } from "../../support/numbers.js";

const lengths = [1, 2, 3, 5, 17, 31, 127, 1023, 4097];
const lanes = [
  { dtype: "float32", wide: 0, p: 1 },
  { dtype: "float32", wide: 1, p: 1 },
  { dtype: "float32", wide: 1, p: 1.5 },
  { dtype: "float64", wide: 1, p: 1 },
  { dtype: "float64", wide: 1, p: 0.5 },
  { dtype: "float64", wide: 1, p: 3 },
] as const;

describe.each(lanes)("powers of $dtype, p $p, wide $wide", ({ dtype, wide, p }) => {
  const k = () => kernelsOf(FUNCTIONS, dtype);
  const width = elementBytes(dtype);
  const coefficients = wide ? "float64" : dtype;
  const rounded = (list: Float64Array) => (dtype === "float32" ? list.map(Math.fround) : list);
  /** Rounding of a term, and of its share in a sum. */
  const ulps = coefficients === "float32" ? 1e-6 : 1e-14;
  const slope = (d: number) => (d === 0 ? 0 : Math.abs(d) ** (p - 1) * Math.sign(d));
  // A mean that f32 does not hold, and one element on it.
  const mean = wide ? 0.125 : 1000.0001;
  const data = (n: number, seed: number) => {
    const x = rounded(values(n, seed, mean));
    if (wide) x[n >> 1] = mean;
    return x;
  };
  const stageMean = (number: number) => {
    const center = coefficients === "float32" ? Math.fround(mean) : mean;
    return [center, mean - center].map((value) => stageValues(new Float64Array(number).fill(value), coefficients));
  };

  it.each(lengths)("of rows and columns of %i", (n) => {
    const rows = 3;
    const x = data(rows * n, n);
    withScratch(() => {
      const at = stageValues(x, dtype);
      for (const kind of ["row", "col"] as const) {
        const number = kind === "row" ? rows : n;
        const [center, rest] = stageMean(number);
        const [powers, slopes] = [scratchF64(number), scratchF64(number)];
        if (kind === "row") k().rowPowerSums(powers, slopes, at, center, rest, rows, n, 0, rows, p, wide);
        else
          k().colPowerSums(
            powers,
            slopes,
            at,
            center,
            rest,
            rows,
            n,
            p,
            wide,
            scratch(kernels(COLUMNS).colScratchBytes()),
          );
        const [gotPowers, gotSlopes] = [copyF64(powers, number), copyF64(slopes, number)];
        const want = Array.from({ length: number }, () => ({ power: 0, slope: 0, size: 0 }));
        for (const [i, value] of x.entries()) {
          const sums = want[kind === "row" ? Math.floor(i / n) : i % n];
          sums.power += Math.abs(value - mean) ** p;
          sums.slope += slope(value - mean);
          sums.size += Math.abs(slope(value - mean));
        }
        // Errors in parts of what the bound allows.
        const errors = want.flatMap((sums, j) => [
          Math.abs(gotPowers[j] - sums.power) / (ulps * (sums.power + 1)),
          Math.abs(gotSlopes[j] - sums.slope) / (ulps * (sums.size + 1)),
        ]);
        expect(Math.max(...errors)).toBeLessThanOrEqual(1);
      }
    });
  });

  it.each(lengths)("pass gradients of %i on, in place, and nothing beyond", (n) => {
    const rows = 2;
    const [x, dy] = [data(rows * n, n), rounded(values(rows * n, n + 1))];
    const [w, s, c] = [0.75, -0.5, 0.25];
    for (const kind of ["row", "col"] as const) {
      withScratch(() => {
        const number = kind === "row" ? 1 : n;
        const [center, rest] = stageMean(number);
        const [weight, slopes, constant] = [w, s, c].map((v) =>
          stageValues(new Float64Array(number).fill(v), coefficients),
        );
        const from = stageValues(x, dtype);
        const to = stageValues([...dy, 77, 77, 77], dtype);
        if (kind === "row")
          k().rowGradPower(to, to, from, center, rest, weight, slopes, constant, rows, n, 0, 1, p, wide);
        else k().colGradPower(to, to, from, center, rest, weight, slopes, constant, rows, n, p, wide);
        const got = heapOf(dtype).slice(to / width, to / width + rows * n + 3);
        const errors = Array.from(x, (value, i) => {
          const want = w * dy[i] + s * slope(value - mean) + c;
          return Math.abs(got[i] - want) / (Math.abs(want) + 2);
        });
        expect(Math.max(...errors)).toBeLessThanOrEqual(dtype === "float32" ? 2e-7 : 1e-14);
        expect([...got.slice(rows * n)]).toEqual([77, 77, 77]);
      });
    }
  });
});
