import { describe, expect, it } from "vitest";
import { memoryInfo, tensor, unitNorm, unitNormBackward, unitNormForward } from "../../src/index.js";
import { bits, differenceFromNumerical, dot, largestDifference, tensorOf } from "../support/numbers.js";

const kinds: Array<{ shape: number[]; axes?: number | number[] }> = [
  { shape: [3, 5] },
  { shape: [3, 5], axes: 0 },
  { shape: [17], axes: -1 },
  { shape: [5] },
  { shape: [3, 4, 5], axes: 1 },
  { shape: [3, 4, 5], axes: [0, 2] },
  { shape: [2, 3, 4, 5], axes: [0, 2] },
  { shape: [3, 3, 4, 7], axes: [0, 1, 2] },
  { shape: [4, 1, 31], axes: [1, -1] },
];

describe.each(kinds)("unit length of $shape along $axes", ({ shape, axes }) => {
  const w = tensorOf(shape, 1, "float64", 0.3);
  const along = [axes ?? shape.map((_, axis) => axis).filter((axis) => axis > 0 || shape.length === 1)].flat();

  it("leaves slices of length 1, with the gradient of finite differences", () => {
    const { y, saved } = unitNormForward(w, { axes });
    const sums = new Map<string, number>();
    const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((a, b) => a * b, 1));
    y.data.forEach((value, i) => {
      const key = strides
        .map((stride, axis) => Math.floor(i / stride) % shape[axis])
        .filter((_, axis) => !along.includes(axis) && !along.includes(axis - shape.length))
        .join();
      sums.set(key, (sums.get(key) ?? 0) + value * value);
    });
    for (const sum of sums.values()) expect(sum).toBeCloseTo(1, 14);
    const dy = tensorOf(shape, 2);
    const loss = () => dot(unitNorm(w, { axes }).data, dy.data);
    const { dw } = unitNormBackward(dy, saved);
    expect(differenceFromNumerical(loss, w.data as Float64Array, dw.data)).toBeLessThan(1e-7);
  });

  it("gives the same bits for tensors and in place", () => {
    const want = unitNorm(w, { axes });
    const linear = tensor(shape, { data: w.data, dtype: "float64" });
    unitNorm(linear, { axes, out: linear });
    expect(bits(linear.data)).toBe(bits(want.data));
    linear.dispose();
    expect(largestDifference(unitNorm(want, { axes }).data, want.data)).toBeLessThan(1e-15);
    expect(memoryInfo().usedBytes).toBe(0);
  });
});

describe("unit length", () => {
  it.each(["float32", "float64"] as const)("has the same bits for rows of %s too long to be staged", (dtype) => {
    const shape = [2, 50001];
    const w = tensorOf(shape, 3, dtype);
    const dy = tensorOf(shape, 4, dtype);
    w.data[1] = -0;
    const linear = [w, dy].map(({ data }) => tensor(shape, { data, dtype }));
    const heap = unitNormForward(w);
    const y = tensor(shape, { dtype });
    const whole = unitNormForward(linear[0], { out: y });
    expect(bits(y.data)).toBe(bits(heap.y.data));
    expect(bits(whole.saved.length)).toBe(bits(heap.saved.length));
    expect(Object.is(heap.y.data[1], -0)).toBe(true);
    const out = tensor(shape, { dtype });
    unitNormBackward(linear[1], whole.saved, { out });
    expect(bits(out.data)).toBe(bits(unitNormBackward(dy, heap.saved).dw.data));
    for (const made of [...linear, y, out]) made.dispose();
    expect(memoryInfo().usedBytes).toBe(0);
  });

  it("leaves zeros", () => {
    const { y, saved } = unitNormForward({ data: new Float32Array([0, 0, 3, 4]), shape: [2, 2] });
    expect([...y.data]).toEqual([0, 0, Math.fround(0.6), Math.fround(0.8)]);
    const { dw } = unitNormBackward({ data: new Float32Array(4).fill(1), shape: [2, 2] }, saved);
    expect([...dw.data].every(Number.isFinite)).toBe(true);
  });

  it("names what does not fit", () => {
    const w = tensorOf([3, 4], 1);
    expect(() => unitNorm(w, { axes: 2 })).toThrow(
      /axes must name dimensions of w, whose shape is \[3, 4\], each once, got 2/,
    );
    expect(() => unitNorm(w, { axes: [1, -1] })).toThrow(/each once/);
    expect(() => unitNorm(w, { axes: [] })).toThrow(/at least one dimension/);
    expect(() => unitNorm(w, { eps: 0 })).toThrow(/eps must be/);
    expect(() => unitNormBackward(tensorOf([4], 1), unitNormForward(w).saved)).toThrow(/dy has shape/);
  });
});
