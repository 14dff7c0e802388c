import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { StandardScaler } from "../../src/index.js";
import { bits, largestDifference, tensorOf, values } from "../support/numbers.js";

const sklearnRows = [
  [1, 10],
  [2, 30],
  [4, 20],
  [8, Number.NaN],
];
/** What scikit-learn 1.2.1 makes of them. */
const attributes = {
  with_mean: true,
  with_std: true,
  n_samples_seen_: [4, 3],
  mean_: [3.75, 20],
  var_: [7.1875, 66.66666666666667],
  scale_: [2.680951323690902, 8.16496580927726],
};

describe("StandardScaler", () => {
  it("takes over what scikit-learn fitted, and fits the same", () => {
    for (const scaler of [StandardScaler.fromSklearn(attributes), new StandardScaler().fit(sklearnRows)]) {
      expect([...scaler.mean]).toEqual(attributes.mean_);
      expect(largestDifference(scaler.variance, attributes.var_)).toBeLessThan(1e-13);
      expect(largestDifference(scaler.scale, attributes.scale_)).toBeLessThan(1e-14);
      expect(scaler.nSamplesSeen).toEqual(Float64Array.of(4, 3));
      const y = scaler.transform([[3, 15]]).data;
      expect(largestDifference(y, [-0.27975144247209416, -0.6123724356957945])).toBeLessThan(1e-15);
    }
    const more = StandardScaler.fromSklearn(attributes).partialFit([[5, 5]]);
    expect(more.mean).toEqual(new StandardScaler().fit([...sklearnRows, [5, 5]]).mean);
    const centered = StandardScaler.fromSklearn({ ...attributes, with_std: false, var_: null, n_samples_seen_: 4 });
    expect([...centered.transform([[3, 15]]).data]).toEqual([-0.75, -5]);
    expect(centered.nSamplesSeen).toBe(4);
  });

  it("refuses attributes that do not fit together", () => {
    for (const [wrong, message] of [
      [{ ...attributes, mean_: null }, "mean_ must be an array with an entry for each feature, got null"],
      [{ ...attributes, var_: [1] }, "var_ has 1 elements where 2 are needed, one for each feature"],
      [{ ...attributes, var_: undefined }, "var_ must be an array with an entry for each feature, got undefined"],
      [{ ...attributes, n_samples_seen_: undefined }, "n_samples_seen_ must be an array"],
      [{ ...attributes, n_samples_seen_: -1 }, "n_samples_seen_ must be at least 0, got -1"],
      [{ ...attributes, mean_: [] }, "mean_ has no elements"],
    ] as const) {
      expect(() => StandardScaler.fromSklearn(wrong)).toThrow(`StandardScaler.fromSklearn: ${message}`);
    }
  });

  it("counts a row of whole weight w as w rows", () => {
    const weighted = fc.record({
      weights: fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 1, maxLength: 30 }),
      columns: fc.integer({ min: 1, max: 4 }),
      seed: fc.integer(),
      missing: fc.boolean(),
      dtype: fc.constantFrom("float32" as const, "float64" as const),
    });
    fc.assert(
      fc.property(weighted, ({ weights, columns, seed, missing, dtype }) => {
        fc.pre(weights.some((weight) => weight > 0));
        const x = tensorOf([weights.length, columns], seed, dtype, 3);
        if (missing) for (let i = 0; i < x.data.length; i += 4) x.data[i] = NaN;
        const replicated = weights.flatMap((weight, r) =>
          Array.from({ length: weight }, () => x.data.slice(r * columns, (r + 1) * columns)),
        );
        const got = new StandardScaler().fit(x, { sampleWeight: weights });
        const want = new StandardScaler().fit(replicated);
        const same = (a: ArrayLike<number>, b: ArrayLike<number>) => {
          for (let j = 0; j < columns; j++) {
            if (!(Math.abs(a[j] - b[j]) <= 1e-12 * (1 + Math.abs(b[j])))) expect(a[j]).toBe(b[j]);
          }
        };
        same(got.mean, want.mean);
        same(got.variance, want.variance);
        expect(got.nSamplesSeen).toEqual(want.nSamplesSeen);
      }),
      { numRuns: 80, seed: 2 },
    );
  });

  it("takes weights as scikit-learn does", () => {
    const scaler = new StandardScaler().fit(sklearnRows.slice(0, 3), { sampleWeight: [1, 2.5, 0.5] });
    expect([...scaler.mean]).toEqual([2, 23.75]);
    expect(largestDifference(scaler.variance, [0.75, 73.4375])).toBeLessThan(1e-13);
    expect(scaler.nSamplesSeen).toBe(4);
  });

  it("refuses weights that are none", () => {
    const scaler = new StandardScaler();
    const fitWith = (sampleWeight: number[]) => () => scaler.fit([[1], [2]], { sampleWeight });
    expect(fitWith([1])).toThrow(
      "StandardScaler.fit: sampleWeight has 1 elements where 2 are needed, one for each row",
    );
    for (const [wrong, shown] of [
      [-1, "-1"],
      [NaN, "NaN"],
      [Infinity, "Infinity"],
    ] as const) {
      expect(fitWith([1, wrong])).toThrow(
        `sampleWeight must hold finite numbers of at least 0, got ${shown} for row 1`,
      );
    }
  });

  it("passes over NaN without touching the other columns", () => {
    const x = tensorOf([100, 3], 4, "float64", 5);
    const before = new StandardScaler().fit(x);
    for (let r = 0; r < 100; r += 7) x.data[3 * r + 1] = NaN;
    const scaler = new StandardScaler().fit(x);
    for (const j of [0, 2]) {
      expect(scaler.mean[j]).toBe(before.mean[j]);
      expect(scaler.variance[j]).toBe(before.variance[j]);
    }
    expect(scaler.nSamplesSeen).toEqual(Float64Array.of(100, 85, 100));
    const column = Array.from({ length: 100 }, (_, r) => [x.data[3 * r + 1]]).filter(([value]) => !Number.isNaN(value));
    const alone = new StandardScaler().fit(column);
    expect(Math.abs(scaler.mean[1] - alone.mean[0])).toBeLessThan(5e-15);
    expect(Math.abs(scaler.variance[1] - alone.variance[0])).toBeLessThan(1e-14);
    const y = scaler.transform(x).data;
    y.forEach((value, i) => {
      expect(Number.isNaN(value)).toBe(Number.isNaN(x.data[i]));
    });
  });

  it("loses nothing to a large mean where values are missing or weighted", () => {
    const n = 100000;
    const x = { data: Float64Array.from({ length: n }, (_, i) => 1e6 + (i % 2)), shape: [n, 1] };
    const missing = { data: Float64Array.from(x.data).fill(NaN, 10, 12), shape: [n, 1] };
    const weighted = new StandardScaler().fit(x, { sampleWeight: new Float64Array(n).fill(2) });
    for (const scaler of [weighted, new StandardScaler().fit(missing)]) {
      // Some 3000 merged blocks, each rounding the mean by 6e-11 at the most, mostly less and either way.
      expect(Math.abs(scaler.mean[0] - 1000000.5)).toBeLessThan(2e-9);
      expect(Math.abs(scaler.variance[0] - 0.25)).toBeLessThan(2e-9);
    }
  });

  it("knows nothing of a column without values, until there are some", () => {
    const scaler = new StandardScaler().fit([
      [1, NaN],
      [3, NaN],
    ]);
    expect([...scaler.mean]).toEqual([2, NaN]);
    expect([...scaler.variance]).toEqual([1, NaN]);
    expect([...scaler.transform([[3, 5]]).data]).toEqual([1, NaN]);
    scaler.partialFit([
      [1, 4],
      [3, 8],
    ]);
    expect([...scaler.mean]).toEqual([2, 6]);
    expect([...scaler.transform([[3, 8]]).data]).toEqual([1, 1]);
  });

  it("leaves columns alone that are constant to rounding", () => {
    const x = { data: new Float64Array(3000).fill(0.1), shape: [1000, 3] };
    for (let r = 0; r < 1000; r++) {
      x.data[3 * r + 1] = 1e15 + (r % 2) * 0.125;
      x.data[3 * r + 2] = 1e9 + (r % 2);
    }
    const scaler = new StandardScaler().fit(x);
    expect([...scaler.scale]).toEqual([1, 1, 0.5]);
    expect(Math.abs(scaler.transform(x).data[0])).toBeLessThan(1e-15);
  });

  it("divides M2 by n - ddof", () => {
    const x = [[1], [2], [4]];
    expect(new StandardScaler({ ddof: 1 }).fit(x).variance[0]).toBeCloseTo(7 / 3, 14);
    expect(new StandardScaler({ ddof: 1 }).fit([[1]]).variance[0]).toBeNaN();
    expect([...new StandardScaler({ ddof: 1 }).fit([[1]]).transform([[3]]).data]).toEqual([2]);
    expect(() => new StandardScaler({ ddof: -1 })).toThrow(
      "StandardScaler: ddof must be a finite number of at least 0",
    );
  });

  it("leaves out what is switched off", () => {
    const x = [[1], [3]];
    expect([...new StandardScaler({ withMean: false }).fitTransform(x).data]).toEqual([1, 3]);
    expect([...new StandardScaler({ withStd: false }).fitTransform([[1], [5]]).data]).toEqual([-2, 2]);
    const neither = new StandardScaler({ withMean: false, withStd: false }).fit([[1], [5]]);
    expect([...neither.transform([[7]]).data]).toEqual([7]);
    expect([...neither.inverseTransform([[7]]).data]).toEqual([7]);
    expect([...neither.scale]).toEqual([1]);
  });

  it("does not care how large the mean is", () => {
    for (const base of [1e3, 1e4, 1e5, 1e6]) {
      const x = { data: Float32Array.from({ length: 4096 }, (_, i) => base + (i % 2)), shape: [4096, 1] };
      const y = new StandardScaler().fitTransform(x).data;
      // The deviation is 0.5 exactly, so is x − mean: y is ±1 to one rounding of the scale.
      y.forEach((value, i) => {
        if (!(Math.abs(value - (i % 2 === 0 ? -1 : 1)) < 2e-7)) expect(value).toBe(0);
      });
    }
  });

  it("says where f64 does not reach", () => {
    const x = { data: values(20, 6, 0, 1e200), shape: [10, 2] };
    expect(() => new StandardScaler().fit(x)).toThrow(
      "StandardScaler.fit: the squares in column 0 of x leave the range of float64; divide it by a power of ten first",
    );
    const centered = new StandardScaler({ withStd: false }).fit(x);
    expect(Math.abs(centered.mean[0])).toBeLessThan(1e200);
    const weighted = new StandardScaler({ withStd: false }).fit(x, { sampleWeight: new Float32Array(10).fill(1) });
    expect(largestDifference(weighted.mean, centered.mean)).toBeLessThan(1e186);
  });

  it("hands out copies of its statistics", () => {
    const scaler = new StandardScaler().fit([[1], [3]]);
    scaler.mean[0] = 7;
    scaler.scale[0] = 7;
    expect([...scaler.mean, ...scaler.scale]).toEqual([2, 1]);
    const y = scaler.transform([[1], [3]]);
    expect(bits(y.data)).toBe(bits(Float64Array.of(-1, 1)));
  });
});
