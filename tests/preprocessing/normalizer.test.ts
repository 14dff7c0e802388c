import { afterEach, describe, expect, it } from "vitest";

import { setStageBytes } from "../../src/core/stream.js";
import { memoryInfo, type Norm, Normalizer, normalize, normalizeBackward, tensor } from "../../src/index.js";
import { bits, differenceFromNumerical, dot, largestDifference, tensorOf, values } from "../support/numbers.js";

/** dx alone. */
const gradientOf = (...given: Parameters<typeof normalizeBackward>) => normalizeBackward(...given).dx;

const norms = ["l1", "l2", "max"] as const;
const dtypes = ["float32", "float64"] as const;

/** Through the largest entry, so that nothing overflows. */
function reference(x: ArrayLike<number>, norm: Norm): number[] {
  const row = Array.from(x);
  const largest = Math.max(...row.map(Math.abs));
  if (largest === 0) return row;
  const unit = row.map((value) => value / largest);
  const size = { l1: unit.reduce((sum, a) => sum + Math.abs(a), 0), l2: Math.hypot(...unit), max: 1 }[norm];
  return unit.map((value) => value / size);
}

afterEach(() => {
  setStageBytes(1 << 17);
});

describe.each(norms)("normalize to %s", (norm) => {
  it.each(dtypes)("brings rows of %s to norm 1", (dtype) => {
    for (const n of [1, 2, 3, 4, 5, 17, 31, 64, 127, 1000]) {
      const x = tensorOf([5, n], n, dtype);
      const y = normalize(x, { norm });
      expect(y.shape).toEqual([5, n]);
      for (let r = 0; r < 5; r++) {
        const want = reference(x.data.subarray(r * n, (r + 1) * n), norm);
        // A sum of n positive terms, an inverse and a product: a few roundings of a y of at most 1.
        expect(largestDifference(y.data.subarray(r * n, (r + 1) * n), want)).toBeLessThan(
          dtype === "float32" ? 5e-7 : 1e-15,
        );
      }
    }
  });

  it.each(dtypes)("is right for huge and tiny rows of %s", (dtype) => {
    const sizes =
      dtype === "float32" ? [3e38, 1e38, 1e25, 1e-25, 1e-37, 1e-40] : [1.7e308, 1e200, 1e-200, 1e-307, 1e-310];
    const n = 9;
    const data = sizes.flatMap((size, i) => Array.from(values(n, i + 1), (value) => value * size));
    const x = {
      data: dtype === "float32" ? Float32Array.from(data) : Float64Array.from(data),
      shape: [sizes.length, n],
    };
    const y = normalize(x, { norm }).data;
    for (let r = 0; r < sizes.length; r++) {
      const want = reference(x.data.subarray(r * n, (r + 1) * n), norm);
      expect(largestDifference(y.subarray(r * n, (r + 1) * n), want)).toBeLessThan(dtype === "float32" ? 3e-7 : 1e-15);
    }
    const smallest = dtype === "float32" ? 2 ** -149 : 2 ** -1074;
    expect([...normalize({ ...x, data: x.data.slice(0, 3).fill(smallest), shape: [3, 1] }, { norm }).data]).toEqual([
      1, 1, 1,
    ]);
  });

  it("leaves rows of zeros, keeps their signs, and spreads NaN over its row", () => {
    const y = normalize(
      [
        [0, -0],
        [0, -2],
        [NaN, 1],
        [5, 0],
      ],
      { norm },
    ).data;
    expect([...y]).toEqual([0, -0, 0, -1, NaN, NaN, 1, 0]);
  });

  it.each(dtypes)("gives the same bits for %s from anywhere, in any chunks", (dtype) => {
    const used = memoryInfo().usedBytes;
    for (const [rows, n] of [
      [300, 3],
      [20, 700],
      [2, 40000],
    ]) {
      const x = tensorOf([rows, n], n, dtype, 0, dtype === "float32" ? 1e37 : 1e307);
      for (let i = 0; i < n; i++) x.data[i] /= 1e30;
      const dy = tensorOf([rows, n], n + 1, dtype);
      const backward = norm === "max" ? null : norm;
      const run = () => [
        bits(normalize(x, { norm }).data),
        backward ? bits(gradientOf(dy, x, { norm: backward }).data) : "",
      ];
      const want = run();
      for (const bytes of [64, 5000, 1 << 24]) {
        setStageBytes(bytes);
        expect(run()).toEqual(want);
      }
      setStageBytes(1 << 17);
      const [lx, ldy] = [tensor(x.shape, { data: x.data }), tensor(dy.shape, { data: dy.data })];
      if (backward) {
        expect(gradientOf(ldy, lx, { norm: backward, out: ldy })).toBe(ldy);
        expect(bits(ldy.data)).toBe(want[1]);
        expect(bits(gradientOf(dy, lx, { norm: backward, out: dy }).data)).toBe(want[1]);
      }
      expect(normalize(lx, { norm, out: lx })).toBe(lx);
      expect(bits(lx.data)).toBe(want[0]);
      normalize(x, { norm, out: x });
      expect(bits(x.data)).toBe(want[0]);
      lx.dispose();
      ldy.dispose();
    }
    expect(memoryInfo().usedBytes).toBe(used);
  });
});

describe.each(["l1", "l2"] as const)("normalizeBackward of %s", (norm) => {
  it("is the gradient of finite differences", () => {
    for (const shape of [
      [3, 1],
      [4, 5],
      [2, 33],
    ]) {
      const x = tensorOf(shape, shape[1], "float64", 0, 2);
      // Away from 0, where |x| has a kink.
      for (let i = 0; i < x.data.length; i++) x.data[i] += Math.sign(x.data[i]) * 0.1;
      const dy = tensorOf(shape, 9);
      const dx = gradientOf(dy, x, { norm });
      const loss = () => dot(normalize(x, { norm }).data, dy.data);
      expect(differenceFromNumerical(loss, x.data as Float64Array, dx.data)).toBeLessThan(1e-8);
    }
  });

  it("is the same in f32, to rounding", () => {
    const x = tensorOf([6, 40], 1, "float32");
    const dy = tensorOf([6, 40], 2, "float32");
    const wide = gradientOf(
      { data: Float64Array.from(dy.data), shape: dy.shape },
      { data: Float64Array.from(x.data), shape: x.shape },
      { norm },
    );
    expect(largestDifference(gradientOf(dy, x, { norm }).data, wide.data)).toBeLessThan(1e-6);
  });

  it("is 0 for rows of zeros, and scales with 1/‖x‖ to the ends of the range", () => {
    expect([
      ...gradientOf(
        [
          [1, 2],
          [1, 1],
        ],
        [
          [0, 0],
          [1, 2],
        ],
        { norm },
      ).data.subarray(0, 2),
    ]).toEqual([0, 0]);
    const x = tensorOf([1, 8], 3, "float32");
    const dy = tensorOf([1, 8], 4, "float32");
    const plain = gradientOf(dy, x, { norm }).data;
    for (const exponent of [120, 60, -60, -120]) {
      const size = 2 ** exponent;
      const scaled = { data: x.data.map((value) => value * size), shape: x.shape };
      const dx = gradientOf(dy, scaled, { norm }).data;
      const back = Float64Array.from(dx, (value) => value * size);
      expect(largestDifference(back, plain)).toBeLessThan(1e-6);
    }
    const tiny = { data: x.data.map((value) => value * 2 ** -140), shape: x.shape };
    const small = { data: dy.data.map((value) => value * 2 ** -40), shape: dy.shape };
    const dx = Float64Array.from(gradientOf(small, tiny, { norm }).data, (value) => value * 2 ** -100);
    // x has lost all but nine bits.
    expect(largestDifference(dx, plain)).toBeLessThan(0.02);
  });
});

describe("Normalizer", () => {
  it("is normalize in the shape of a scaler", () => {
    const x = tensorOf([4, 3], 1);
    for (const norm of norms) {
      const normalizer = new Normalizer({ norm });
      const want = normalize(x, { norm });
      expect(normalizer.fit(x)).toBe(normalizer);
      expect(normalizer.transform(x)).toEqual(want);
      expect(normalizer.fitTransform(x)).toEqual(want);
      const saved = JSON.parse(JSON.stringify(normalizer));
      expect(Normalizer.fromJSON(saved).transform(x)).toEqual(want);
      expect(Normalizer.fromSklearn({ norm }).norm).toBe(norm);
    }
    expect(new Normalizer().norm).toBe("l2");
    expect(bits(normalize(x).data)).toBe(bits(normalize(x, { norm: "l2" }).data));
  });

  it("names what is wrong", () => {
    const x = tensorOf([2, 3], 1);
    const l3 = { norm: "l3" as "l2" };
    for (const [call, message] of [
      [() => new Normalizer(l3), 'Normalizer: norm must be "l1" or "l2" or "max", got "l3"'],
      [() => normalize(x, l3), 'normalize: norm must be "l1"'],
      [() => gradientOf(x, x, { norm: "max" as "l2" }), 'normalizeBackward: norm must be "l1" or "l2", got "max"'],
      [() => gradientOf([[1]], x), "normalizeBackward: dy has shape [1, 1] where x has [2, 3]"],
      [() => new Normalizer().fit({ data: x.data, shape: [6] }), "Normalizer.fit: x must be [rows, features]"],
      [() => new Normalizer().transform([]), "Normalizer.transform: x has no elements"],
      [() => normalize(x, { out: tensorOf([3, 2], 1) }), "normalize: out has shape [3, 2]"],
      [() => Normalizer.fromJSON({ version: 1, kind: "StandardScaler" }), 'kind must be "Normalizer"'],
    ] as const) {
      expect(call).toThrow(message);
    }
  });
});
