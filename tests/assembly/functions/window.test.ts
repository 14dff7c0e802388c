import { describe, expect, it } from "vitest";
import { elementBytes, heapOf, scratch, withScratch } from "../../../src/core/memory.js";
import { FUNCTIONS, kernelsOf } from "../../../src/core/parts.js";
import { bits, values } from "../../support/numbers.js";

describe.each(["float32", "float64"] as const)("%s", (dtype) => {
  const width = elementBytes(dtype);
  const half = dtype === "float32" ? 2 ** -24 : 2 ** -53;
  const k = kernelsOf(FUNCTIONS, dtype);

  /** Numbers of the type, as the kernels see them, and what `run` leaves in `size` elements behind them. */
  const run = (x: ArrayLike<number>, size: number, call: (out: number, x: number) => void) =>
    withScratch(() => {
      const from = scratch(x.length * width);
      const out = scratch(size * width);
      heapOf(dtype).set(x, from / width);
      call(out, from);
      return {
        given: Array.from(heapOf(dtype).slice(from / width, from / width + x.length)),
        got: heapOf(dtype).slice(out / width, out / width + size),
      };
    });

  it.each([
    [-0.75, 4],
    [-0.5, 4],
    [-1, 1.02],
    [-1.7, 1.02],
    [0.3, 1.02],
    [2.5, 1.02],
    [0, 1.02],
  ])("x to the power of %f is within the stated ulps", (p, halfUlps) => {
    for (const range of [1e-6, 0.9, 1.1, 30, 1e6]) {
      const x = values(1001, 3, 0, range).map(Math.abs);
      const { given, got } = run(x, x.length, (out, from) => k.eachPower(out, from, x.length, 0, 1, p));
      for (let i = 0; i < got.length; i++) {
        const want = given[i] ** p;
        // Of f64, what is stated for pow, and what the engine's own is off.
        const stated = dtype === "float64" ? 8 + 2 * Math.abs(p * Math.log(given[i])) : halfUlps;
        // Half an ulp is up to `half` of the number, rounded to f32 where normal.
        if (want > 1e-37 && want < 1e38) expect(Math.abs(got[i] / want - 1)).toBeLessThan(stated * half);
      }
      const { got: same } = run(x, x.length, (out, from) => {
        heapOf(dtype).fill(1, out / width, out / width + x.length);
        k.eachTimesPower(out, out, from, x.length, 0, 1, p);
      });
      expect(bits(same)).toBe(bits(got));
    }
  });

  it.each([-0.75, -0.5, -1.7, -0.01, 0.01, 2])("x to the power of %f has the right ends", (p) => {
    const x = [0, Number.POSITIVE_INFINITY, Number.NaN, 1, 1e-44, 1e38];
    const { given, got } = run(x, 6, (out, from) => k.eachPower(out, from, 6, 0, 1, p));
    expect([...got.slice(0, 4)]).toEqual(given.slice(0, 4).map((value) => value ** p));
    for (const i of [4, 5]) {
      const want = dtype === "float32" ? Math.fround(given[i] ** p) : given[i] ** p;
      if (want === 0 || want === Number.POSITIVE_INFINITY) expect(got[i]).toBe(want);
      else expect(Math.abs(got[i] / want - 1)).toBeLessThan(dtype === "float32" ? 1e-6 : 1e-13);
    }
  });

  it.each([
    [1, 1, 0, 0],
    [3, 5, 2, 2],
    [7, 19, 2, 1],
    [4, 37, 0, 3],
    [9, 16, 3, 0],
    [6, 33, 40, 1],
    [11, 70, 4, 50],
  ])("sums windows of [%i, %i], %i before and %i after, in the order of places", (rows, n, before, after) => {
    const round = dtype === "float32" ? Math.fround : (value: number) => value;
    const x = values(rows * n, 5);
    for (const squares of [false, true]) {
      const down = squares ? k.colWindowSquares : k.colWindowSum;
      const along = squares ? k.rowWindowSquares : k.rowWindowSum;
      const cols = run(x, x.length, (out, from) => down(out, from, rows, n, before, after));
      const rowwise = run(x, x.length, (out, from) => along(out, from, rows, n, before, after));
      const sum = (count: number, place: number, at: (i: number) => number) => {
        let total = 0;
        for (let i = Math.max(0, place - before); i <= Math.min(count - 1, place + after); i++) {
          const term = at(i);
          total = round(total + (squares ? round(term * term) : term));
        }
        return total;
      };
      for (let r = 0; r < rows; r++) {
        for (let j = 0; j < n; j++) {
          expect(cols.got[r * n + j]).toBe(sum(rows, r, (i) => cols.given[i * n + j]));
          expect(rowwise.got[r * n + j]).toBe(sum(n, j, (i) => rowwise.given[r * n + i]));
        }
      }
    }
  });
});
