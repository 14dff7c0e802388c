import { describe, expect, it } from "vitest";
import { RobustScaler } from "../../src/index.js";
import { largestDifference, tensorOf, values } from "../support/numbers.js";

const rows = [
  [1, 10],
  [2, 30],
  [4, 20],
  [8, NaN],
];

describe("RobustScaler", () => {
  it("takes over what scikit-learn 1.2.1 fitted, and fits the same", () => {
    const plain = { quantile_range: [25, 75] as const, center_: [3, 20], scale_: [3.25, 10] };
    const unit = {
      quantile_range: [10, 80] as const,
      unit_variance: true,
      center_: [3, 20],
      scale_: [2.025270859624461, 6.593905124358707],
    };
    for (const [attributes, want] of [
      [plain, [0, -0.5]],
      [unit, [0, -0.7582759996848267]],
    ] as const) {
      const config = { quantileRange: attributes.quantile_range, unitVariance: attributes === unit };
      const fitted = new RobustScaler(config).fit(rows);
      const streamed = new RobustScaler(config).partialFit(rows.slice(0, 1)).partialFit(rows.slice(1));
      for (const scaler of [RobustScaler.fromSklearn(attributes), fitted, streamed]) {
        expect([...scaler.center]).toEqual(attributes.center_);
        expect(largestDifference(scaler.scale, attributes.scale_)).toBeLessThan(4e-15);
        expect(largestDifference(scaler.transform([[3, 15]]).data, want)).toBeLessThan(1e-15);
      }
    }
    const scaled = RobustScaler.fromSklearn({ center_: null, scale_: [2] });
    expect([...scaled.transform([[3]]).data]).toEqual([1.5]);
    expect([...RobustScaler.fromSklearn({ center_: [1], scale_: null }).transform([[3]]).data]).toEqual([2]);
    expect(() => RobustScaler.fromSklearn({ center_: [1], scale_: [1, 2] })).toThrow("scale_ has 2 elements where 1");
  });

  it("is not moved by outliers, and leaves constant columns", () => {
    const scaler = new RobustScaler().fit([
      [1, 7],
      [2, 7],
      [3, 7],
      [4, 7],
      [1e300, 7],
    ]);
    expect([...scaler.center]).toEqual([3, 7]);
    expect([...scaler.scale]).toEqual([2, 1]);
    expect([...scaler.transform([[4, 8]]).data]).toEqual([0.5, 1]);
  });

  it("leaves out what is switched off", () => {
    const x = [[1], [2], [3], [4], [5]];
    expect([...new RobustScaler({ withCentering: false }).fit(x).transform([[4]]).data]).toEqual([2]);
    expect([...new RobustScaler({ withScaling: false }).fit(x).transform([[4]]).data]).toEqual([1]);
  });

  it("takes a range that the median is no part of", () => {
    const x = { data: Float64Array.from({ length: 101 }, (_, i) => i), shape: [101, 1] };
    const scaler = new RobustScaler({ quantileRange: [60, 90] }).fit(x);
    expect([...scaler.center, ...scaler.scale]).toEqual([50, 30]);
  });

  it("streams to nearly the same", () => {
    const x = tensorOf([30000, 2], 1, "float32", 1e4);
    const exact = new RobustScaler().fit(x);
    const streamed = new RobustScaler();
    for (let from = 0; from < 30000; from += 1000) {
      streamed.partialFit({ data: x.data.slice(2 * from, 2 * from + 2000), shape: [1000, 2] });
    }
    // Ranks are off by 4/2048 at the most; a rank of the whole is 2 in value.
    expect(largestDifference(streamed.center, exact.center)).toBeLessThan((2 * 4) / 2048);
    expect(largestDifference(streamed.scale, exact.scale)).toBeLessThan((4 * 4) / 2048);
    const saved = JSON.stringify(streamed);
    expect(RobustScaler.fromJSON(JSON.parse(saved)).center).toEqual(streamed.center);
    streamed.center[0] = 0;
    expect(streamed.center[0]).not.toBe(0);
  });

  it("says that an exact fit cannot be added to", () => {
    const exact = new RobustScaler().fit(rows);
    const streamed = new RobustScaler().partialFit(rows);
    const before = JSON.stringify([exact, streamed]);
    expect(() => exact.partialFit(rows)).toThrow(
      "RobustScaler.partialFit: fit keeps no data to add to; make a new scaler and call partialFit throughout",
    );
    for (const merge of [() => exact.merge(streamed), () => streamed.merge(exact)]) {
      expect(merge).toThrow("RobustScaler.merge: fit keeps no data to merge; fit both scalers with partialFit");
    }
    expect(JSON.stringify([exact, streamed])).toBe(before);
  });

  it("refuses ranges that are none", () => {
    for (const wrong of [[75, 25], [-1, 75], [25, 101], [NaN, 75], [25]] as unknown as Array<[number, number]>) {
      expect(() => new RobustScaler({ quantileRange: wrong })).toThrow(
        "RobustScaler: quantileRange must be [low, high] with 0 <= low <= high <= 100, got",
      );
    }
    for (const wrong of [
      [0, 75],
      [25, 100],
      [50, 50],
    ] as Array<[number, number]>) {
      expect(() => new RobustScaler({ quantileRange: wrong, unitVariance: true })).toThrow(
        "RobustScaler: unitVariance needs a quantileRange with 0 < low < high < 100, got",
      );
    }
  });

  it("brings a normal column to variance 1 with unitVariance", () => {
    // Sums of twelve uniform numbers are nearly normal.
    const data = Float64Array.from({ length: 4000 }, (_, i) => values(12, i + 1, 0, 1).reduce((a, b) => a + b));
    const y = new RobustScaler({ unitVariance: true }).fitTransform({ data, shape: [4000, 1] }).data;
    const variance = (y as Float64Array).reduce((sum, value) => sum + value * value, 0) / 4000;
    // The deviation of a sample variance of 4000 is 0.022, that of a range of quantiles the same again.
    expect(Math.abs(variance - 1)).toBeLessThan(0.15);
  });
});
