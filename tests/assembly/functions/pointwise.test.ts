import { describe, expect, it } from "vitest";
import { elementBytes, heapOf, scratch, withScratch } from "../../../src/core/memory.js";
import { FUNCTIONS, kernelsOf } from "../../../src/core/parts.js";
import { values } from "../../support/numbers.js";

/** Distance between neighbouring numbers of the type at x. */
function ulp(x: number, dtype: "float32" | "float64"): number {
  if (x === 0) return dtype === "float32" ? 2 ** -149 : Number.MIN_VALUE;
  const exponent = Math.floor(Math.log2(Math.abs(x)));
  return dtype === "float32" ? 2 ** Math.max(exponent - 23, -149) : 2 ** Math.max(exponent - 52, -1074);
}

const sigmoid = (x: number) => (x < 0 ? Math.exp(x) / (1 + Math.exp(x)) : 1 / (1 + Math.exp(-x)));

describe.each(["float32", "float64"] as const)("%s", (dtype) => {
  const width = elementBytes(dtype);
  const run = (name: "eachSigmoid" | "eachTanh", x: ArrayLike<number>) =>
    withScratch(() => {
      const at = scratch(x.length * width);
      heapOf(dtype).set(x, at / width);
      const given = heapOf(dtype).slice(at / width, at / width + x.length);
      kernelsOf(FUNCTIONS, dtype)[name](at, at, 1, x.length, 0, 0);
      return { given, got: heapOf(dtype).slice(at / width, at / width + x.length) };
    });

  it.each([
    ["eachSigmoid", sigmoid],
    ["eachTanh", Math.tanh],
  ] as const)("%s is within 4 ulps, at any size of argument", (name, want) => {
    for (const range of [1e-6, 1e-2, 1, 8, 80]) {
      const { given, got } = run(name, values(4001, 7, 0, range));
      for (let i = 0; i < got.length; i++) {
        // The engine's own exp and tanh are within an ulp or two of f64.
        const allowed = (dtype === "float32" ? 4 : 6) * ulp(want(given[i]), dtype);
        if (!(Math.abs(got[i] - want(given[i])) <= allowed))
          expect([given[i], got[i]]).toEqual([given[i], want(given[i])]);
      }
    }
  });

  it("has the right ends, and keeps NaN", () => {
    const ends = [Number.NaN, Infinity, -Infinity, 0, 1e30, -1e30];
    expect([...run("eachSigmoid", ends).got]).toEqual([Number.NaN, 1, 0, 0.5, 1, 0]);
    expect([...run("eachTanh", ends).got]).toEqual([Number.NaN, 1, -1, 0, 1, -1]);
  });

  it.each([1, 2, 3, 4, 5, 17])("works on parts of wider rows, %i of 20", (n) => {
    const [rows, wide] = [3, 20];
    const x = values(rows * wide, 3);
    withScratch(() => {
      const at = scratch(rows * wide * width);
      const out = scratch(rows * n * width);
      heapOf(dtype).set(x, at / width);
      const before = heapOf(dtype).slice(at / width, at / width + rows * wide);
      const k = kernelsOf(FUNCTIONS, dtype);
      k.eachMultiplyAdd(out, at, at + width, at + 2 * width, rows, n, n, wide, wide, wide);
      for (let r = 0; r < rows; r++) {
        for (let j = 0; j < n; j++) {
          const [a, b, c] = before.subarray(r * wide + j);
          expect(heapOf(dtype)[out / width + r * n + j]).toBeCloseTo(a * b + c, 6);
        }
      }
      k.eachAdd(at, at, at, rows, n, wide, wide, wide);
      const after = heapOf(dtype).slice(at / width, at / width + rows * wide);
      for (let i = 0; i < after.length; i++) expect(after[i]).toBe(i % wide < n ? 2 * before[i] : before[i]);
    });
  });
});
