import { describe, expect, it } from "vitest";
import { MinMaxScaler } from "../../src/index.js";
import { largestDifference, tensorOf } from "../support/numbers.js";

/** What scikit-learn 1.2.1 makes of [[1, 10], [2, 30], [4, 20], [8, NaN]]. */
const attributes = {
  feature_range: [-1, 1] as const,
  clip: false,
  n_samples_seen_: 4,
  data_min_: [1, 10],
  data_max_: [8, 30],
};

describe("MinMaxScaler", () => {
  it("takes over what scikit-learn fitted, and fits the same", () => {
    const fitted = new MinMaxScaler({ featureRange: [-1, 1] }).fit([
      [1, 10],
      [2, 30],
      [4, 20],
      [8, NaN],
    ]);
    for (const scaler of [MinMaxScaler.fromSklearn(attributes), fitted]) {
      expect([...scaler.dataMin, ...scaler.dataMax, ...scaler.dataRange]).toEqual([1, 10, 8, 30, 7, 20]);
      expect(largestDifference(scaler.scale, [0.2857142857142857, 0.1])).toBeLessThan(1e-16);
      expect(largestDifference(scaler.min, [-1.2857142857142856, -2])).toBeLessThan(4e-16);
      expect(scaler.nSamplesSeen).toBe(4);
      const y = scaler.transform([[3, 15]]).data;
      expect(largestDifference(y, [-0.4285714285714285, -0.5])).toBeLessThan(4e-16);
    }
    expect(() => MinMaxScaler.fromSklearn({ ...attributes, data_max_: [1] })).toThrow(
      "MinMaxScaler.fromSklearn: data_max_ has 1 elements where 2 are needed",
    );
  });

  it("reaches the ends of the range exactly from the data's", () => {
    for (const dtype of ["float32", "float64"] as const) {
      const x = tensorOf([301, 5], 3, dtype, 1e4, 3);
      const y = new MinMaxScaler({ clip: true }).fitTransform(x).data;
      for (let j = 0; j < 5; j++) {
        const column = Array.from({ length: 301 }, (_, r) => y[5 * r + j]);
        expect(Math.min(...column)).toBe(0);
        expect(1 - Math.max(...column)).toBeLessThan(2e-7);
      }
    }
  });

  it("clips to the range, keeps NaN", () => {
    const scaler = new MinMaxScaler({ featureRange: [0, 2], clip: true }).fit([[0], [4]]);
    const x = [[-Infinity], [-1], [0], [3], [5], [Infinity], [NaN]];
    expect([...scaler.transform(x).data]).toEqual([0, 0, 0, 1.5, 2, 2, NaN]);
    expect([...scaler.inverseTransform([[2], [5]]).data]).toEqual([4, 10]);
    const plain = new MinMaxScaler({ featureRange: [0, 2] }).fit([[0], [4]]);
    expect([...plain.transform(x).data]).toEqual([-Infinity, -0.5, 0, 1.5, 2.5, Infinity, NaN]);
  });

  it("brings a constant column to the lower end and back", () => {
    const scaler = new MinMaxScaler({ featureRange: [3, 5] }).fit([[7], [7]]);
    expect([...scaler.transform([[7], [7.5]]).data]).toEqual([3, 4]);
    expect([...scaler.inverseTransform([[3], [4]]).data]).toEqual([7, 7.5]);
    expect([...scaler.dataRange]).toEqual([0]);
  });

  it("knows nothing of a column without values, until there are some", () => {
    const scaler = new MinMaxScaler().fit([[1, NaN]]);
    expect([...scaler.dataMin, ...scaler.dataMax]).toEqual([1, NaN, 1, NaN]);
    expect([...scaler.transform([[1, 5]]).data]).toEqual([0, NaN]);
    scaler.partialFit([
      [3, 4],
      [NaN, 8],
    ]);
    expect([...scaler.transform([[2, 5]]).data]).toEqual([0.5, 0.25]);
    expect(scaler.nSamplesSeen).toBe(3);
  });

  it("refuses ranges that are none", () => {
    for (const wrong of [[1, 1], [2, 1], [0, Infinity], [NaN, 1], [0], 5] as unknown as Array<[number, number]>) {
      expect(() => new MinMaxScaler({ featureRange: wrong })).toThrow(
        "MinMaxScaler: featureRange must be [a, b] with a below b, both finite, got",
      );
    }
  });
});
