import { describe, expect, it } from "vitest";
import { copyF64, elementBytes, heapOf, scratch, withScratch } from "../../../src/core/memory.js";
import { COLUMNS, kernels, kernelsOf } from "../../../src/core/parts.js";
import { stageValues } from "../../../src/core/stream.js";
import { values } from "../../support/numbers.js";

const lengths = [1, 2, 3, 7, 8, 9, 16, 33];
const stage = (vector: ArrayLike<number>) => stageValues(vector, "float64");
const mean = (n: number) => values(n, 1, 1e4, 10);

/** The n elements that a kernel writes; it may write no further. */
function written(n: number, dtype: "float32" | "float64", kernel: (at: number) => void): number[] {
  const width = elementBytes(dtype);
  const at = scratch((n + 4) * width);
  const heap = heapOf(dtype).subarray(at / width, at / width + n + 4);
  heap.fill(7);
  kernel(at);
  expect([...heap.subarray(n)]).toEqual([7, 7, 7, 7]);
  return [...heap.subarray(0, n)];
}

it.each(lengths)("coefficients of %i channels have the bits of the scalar formulas", (n) => {
  withScratch(() => {
    const k = kernels(COLUMNS);
    const [m2, rstd, weight] = [values(n, 2, 3), values(n, 3, 2), values(n, 4)];
    const [sumG, sumGD, count] = [values(n, 5), values(n, 6), values(n, 7, 9).map(Math.round)];
    const roots = written(n, "float64", (at) => k.eachRstd_f64(at, stage(m2), stage(count), n, 1e-5));
    expect(roots).toEqual([...m2].map((value, i) => 1 / Math.sqrt(value / count[i] + 1e-5)));
    const products = written(n, "float64", (at) => k.eachProduct_f64(at, stage(rstd), stage(weight), n));
    expect(products).toEqual([...rstd].map((value, i) => value * weight[i]));

    const constant = scratch(8 * n);
    const inputs = [rstd, weight, sumG, sumGD, count].map(stage) as [number, number, number, number, number];
    const slopes = written(n, "float64", (at) => k.eachGradientOf_f64(at, constant, ...inputs, n));
    expect(slopes).toEqual([...rstd].map((r, i) => -(r * r) * ((weight[i] * sumGD[i]) / count[i])));
    expect([...copyF64(constant, n)]).toEqual([...sumG].map((sum, i) => -((weight[i] * sum) / count[i])));
  });
});

describe.each(["float32", "float64"] as const)("what columns of %s take", (dtype) => {
  const round = dtype === "float64" ? (value: number) => value : Math.fround;

  it.each(lengths)("is rounded once, about the rounded mean: %i channels", (n) => {
    withScratch(() => {
      const k = kernelsOf(COLUMNS, dtype);
      const [m, factor, sum] = [mean(n), values(n, 2), values(n, 3)];
      const rounded = written(n, dtype, (at) => k.eachRound(at, stage(m), n));
      expect(rounded).toEqual([...m].map(round));
      const summands = written(n, dtype, (at) => k.eachSummand(at, stage(sum), stage(m), stage(factor), n));
      expect(summands).toEqual([...sum].map((value, i) => round(value + (round(m[i]) - m[i]) * factor[i])));
      const about = written(n, "float64", (at) => {
        heapOf("float64").set(sum, at / 8);
        k.eachAboutMean(at, stage(factor), stage(m), n);
      });
      expect(about).toEqual([...sum].map((value, i) => value + (round(m[i]) - m[i]) * factor[i]));
    });
  });
});
