import { describe, expect, it } from "vitest";
import { elementBytes, heapOf, withScratch } from "../../src/core/memory.js";
import { readTensor, Target } from "../../src/core/tensor.js";
import { im2col, matmul } from "../../src/index.js";
import { writeSample } from "../../src/linalg/im2col.js";
import {
  convolutionSheets,
  denseSheets,
  eachSheet,
  inMemory,
  multiply,
  readSheet,
  type Sheets,
  WeightGradient,
  writeInputGradient,
  writeProductForInput,
} from "../../src/linalg/sheets.js";
import { channelsLast, dot, largestDifference, tensorOf } from "../support/numbers.js";

const read = (name: string, value: Parameters<typeof readTensor>[2]) => readTensor("test", name, value);

/** y = x·wᵀ, and dx and dw for dy, sheet by sheet. */
function run(
  sheets: Sheets,
  x: { data: Float64Array; shape: number[] },
  w: { data: Float64Array; shape: number[] },
  dy: { data: Float64Array; shape: number[] },
) {
  const [input, weight, gradient] = [read("x", x), read("w", w), read("dy", dy)];
  return withScratch(() => {
    const unit = inMemory(weight);
    const y = new Target("test", undefined, gradient);
    const dx = new Target("test", undefined, input);
    const dw = new WeightGradient(sheets);
    eachSheet(input, sheets, (sheet, index) => {
      const staged = inMemory(sheet);
      writeSample(y, sheets.count, index, (at) => multiply(at, staged, unit, sheets));
      withScratch(() => {
        const from = readSheet(gradient, sheets, index);
        dw.add(from, staged);
        writeInputGradient(dx, sheets, index, (target) => writeProductForInput(target, from, unit, sheets));
      });
    });
    const { pointer, length, dtype } = dw.sum;
    const at = pointer / elementBytes(dtype);
    return { y: y.result, dx: dx.result, dw: heapOf(dtype).slice(at, at + length) };
  });
}

type Tensor64 = { data: Float64Array; shape: number[] };

describe("linear maps on sheets", () => {
  it("are matrix products for dense layers", () => {
    const [x, w, dy] = [tensorOf([5, 7], 1), tensorOf([3, 7], 2), tensorOf([5, 3], 3)] as Tensor64[];
    const found = run(denseSheets("test", read("x", x), read("w", w)), x, w, dy);
    expect(largestDifference(found.y.data, matmul(x, w, { transposeB: true }).data)).toBe(0);
    expect(largestDifference(found.dx.data, matmul(dy, w).data)).toBe(0);
    expect(largestDifference(found.dw, matmul(dy, x, { transposeA: true }).data)).toBeLessThan(1e-15);
  });

  it("are convolutions, in both layouts, whose gradients are their adjoints", () => {
    const [x, w] = [tensorOf([2, 3, 6, 5], 1), tensorOf([4, 3, 3, 2], 2)] as Tensor64[];
    const windows = { stride: [2, 1], padding: 1 };
    const first = convolutionSheets(windows)("test", read("x", x), read("w", w));
    const dy = tensorOf(first.yShape, 3) as Tensor64;
    const found = run(first, x, w, dy);
    const columns = im2col(x, { kernelSize: [3, 2], ...windows });
    const size = columns.data.length / 2;
    for (let sample = 0; sample < 2; sample++) {
      const part = { data: columns.data.slice(sample * size, (sample + 1) * size), shape: columns.shape.slice(1) };
      const want = matmul({ data: w.data, shape: [4, 18] }, part as Tensor64).data;
      const got = found.y.data.slice(sample * want.length, (sample + 1) * want.length);
      expect(largestDifference(got, want)).toBeLessThan(1e-14);
    }
    expect(dot(found.y.data, dy.data)).toBeCloseTo(dot(x.data, found.dx.data), 11);
    expect(dot(found.y.data, dy.data)).toBeCloseTo(dot(w.data, found.dw), 11);

    const xLast = channelsLast(x) as Tensor64;
    const last = convolutionSheets({ ...windows, layout: "channels-last" })("test", read("x", xLast), read("w", w));
    const other = run(last, xLast, w, channelsLast(dy) as Tensor64);
    expect(largestDifference(other.y.data, channelsLast(found.y).data)).toBeLessThan(1e-14);
    expect(largestDifference(other.dx.data, channelsLast(found.dx).data)).toBeLessThan(1e-14);
    expect(largestDifference(other.dw, found.dw)).toBeLessThan(1e-13);
  });
});
