import { describe, expect, it } from "vitest";
import { memoryInfo, singularValueBounding, svd, tensor } from "../../src/index.js";
import { bits, largestDifference, tensorOf } from "../support/numbers.js";

const shapes = [[1, 1], [3, 5], [17, 5], [5, 31], [1, 127], [127, 1], [4, 3, 3, 3], [31, 31], [7]];
const asMatrix = ({ data, shape }: { data: unknown; shape: number[] }) => ({
  data: data as Float64Array,
  shape: [shape[0], (data as Float64Array).length / shape[0]],
});

describe("singular value bounding", () => {
  it.each(shapes.map((shape) => ({ shape })))(
    "of $shape brings each value within the bounds, and no further",
    ({ shape }) => {
      const w = tensorOf(shape, 1, "float64", 0, 2);
      for (const epsilon of [0, 0.05, 0.5, 3]) {
        const y = singularValueBounding(w, { epsilon });
        expect(y.shape).toEqual(shape);
        const want = svd(asMatrix(w)).s.map((s) => Math.min(Math.max(s, 1 / (1 + epsilon)), 1 + epsilon));
        // Lifting a small value leaves the error of its vectors.
        expect(
          largestDifference(
            svd(asMatrix(y)).s,
            want.sort((a, b) => b - a),
          ),
        ).toBeLessThan(1e-11);
      }
    },
  );

  it("gives back what is within the bounds, to the bit, and lifts zeros", () => {
    const w = tensorOf([3, 4], 1, "float32");
    expect(bits(singularValueBounding(w, { epsilon: 1e6 }).data)).toBe(bits(w.data));
    const lifted = singularValueBounding({ data: new Float64Array(12), shape: [3, 4] });
    expect(largestDifference(svd(lifted).s, [2 / 3, 2 / 3, 2 / 3])).toBeLessThan(1e-14);
  });

  it("works in place, on arrays and tensors, with the same bits", () => {
    for (const dtype of ["float32", "float64"] as const) {
      const w = tensorOf([5, 9], 2, dtype);
      const want = bits(singularValueBounding(w).data);
      const linear = tensor([5, 9], { data: w.data, dtype });
      singularValueBounding(linear, { out: linear });
      expect(bits(linear.data)).toBe(want);
      linear.dispose();
      expect(singularValueBounding(w, { out: w })).toBe(w);
      expect(bits(w.data)).toBe(want);
    }
    expect(memoryInfo().usedBytes).toBe(0);
  });

  it("names what does not fit", () => {
    const w = tensorOf([3, 4], 1);
    expect(() => singularValueBounding(w, { epsilon: -0.1 })).toThrow(/epsilon must be a finite number of at least 0/);
    expect(() => singularValueBounding({ data: new Float32Array(0), shape: [0, 3] })).toThrow(/w has no elements/);
    w.data[5] = Number.NaN;
    expect(() => singularValueBounding(w)).toThrow(/finite|NaN/);
    expect(memoryInfo().usedBytes).toBe(0);
  });
});
