import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import { setStageBytes } from "../../src/core/stream.js";
import {
  Decorrelation,
  type DType,
  matmul,
  memoryInfo,
  type Tensor,
  tensor,
  Whitening,
  type WhiteningMethod,
} from "../../src/index.js";
import { matrixOf, relativeDifference } from "../support/matrices.js";
import { bits, differenceFromNumerical, dot, largestDifference, tensorOf } from "../support/numbers.js";

const methods: WhiteningMethod[] = ["pca", "zca", "zca-cor", "pca-cor", "cholesky"];

/** Correlated rows: uniform ones times a matrix, plus an offset. */
function rowsOf(rows: number, n: number, { seed = 1, offset = 0, dtype = "float64" as DType } = {}): Tensor {
  const mix = matrixOf(n, n, (i, j) => (i === j ? 2 + i / n : Math.sin(3 * i + 7 * j + 1) / Math.sqrt(n)));
  const { data } = matmul(tensorOf([rows, n], seed), mix);
  const shifted = data.map((value) => value + offset);
  return { data: dtype === "float64" ? shifted : Float32Array.from(shifted), shape: [rows, n] };
}

/** Covariance by the definition, in two passes. */
function covarianceOf({ data, shape: [rows, n] }: Tensor, ddof = 0): Float64Array {
  const centered = Float64Array.from(data);
  for (let j = 0; j < n; j++) {
    for (let pass = 0; pass < 2; pass++) {
      let sum = 0;
      for (let i = 0; i < rows; i++) sum += centered[i * n + j];
      for (let i = 0; i < rows; i++) centered[i * n + j] -= sum / rows;
    }
  }
  const c = new Float64Array(n * n);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < n; j++) {
      for (let k = 0; k < n; k++) c[j * n + k] += (centered[i * n + j] * centered[i * n + k]) / (rows - ddof);
    }
  }
  return c;
}

function partOf({ data, shape: [, n] }: Tensor, from: number, to: number): Tensor {
  return { data: data.slice(from * n, to * n), shape: [to - from, n] };
}

const identity = (n: number) => matrixOf(n, n, (i, j) => (i === j ? 1 : 0)).data;

afterEach(() => {
  setStageBytes(1 << 17);
});

describe.each(methods)("Whitening by %s", (method) => {
  it.each([
    [5, 1],
    [17, 3],
    [300, 5],
    [127, 31],
  ])("gives %i x %i rows covariance I, and takes them back", (rows, n) => {
    for (const ddof of [0, 1]) {
      const x = rowsOf(rows, n);
      const whitening = new Whitening({ method, ddof });
      const y = whitening.fitTransform(x);
      expect(largestDifference(covarianceOf(y, ddof), identity(n))).toBeLessThan(1e-11);
      expect(largestDifference(whitening.inverseTransform(y).data, x.data)).toBeLessThan(1e-11);
      expect(relativeDifference(whitening.covariance.data, covarianceOf(x, ddof))).toBeLessThan(1e-14);
      expect(whitening.nSamplesSeen).toBe(rows);
      const w = whitening.whiteningMatrix;
      const centered = matrixOf(rows, n, (i, j) => x.data[i * n + j] - whitening.mean[j]);
      expect(largestDifference(matmul(centered, w).data, y.data)).toBeLessThan(1e-12);
    }
  });

  it("is right for f32 rows, far from 0 too", () => {
    for (const [offset, tolerance] of [
      [0, 3e-6],
      [1e4, 3e-6],
      [1e6, 3e-6],
    ]) {
      const x = rowsOf(200, 4, { dtype: "float32", offset });
      const whitening = new Whitening({ method }).fit(x);
      const y = whitening.transform(x);
      expect(y.data).toBeInstanceOf(Float32Array);
      expect(largestDifference(covarianceOf(y), identity(4))).toBeLessThan(tolerance);
      const exact = new Whitening({ method }).fitTransform({ data: Float64Array.from(x.data), shape: x.shape });
      expect(largestDifference(y.data, exact.data)).toBeLessThan(tolerance);
      // The inverse rounds to f32 near the offset.
      expect(largestDifference(whitening.inverseTransform(y).data, x.data)).toBeLessThan((1 + offset) * 1e-6);
    }
  });

  it("takes in rows in any parts", () => {
    const x = rowsOf(700, 4, { offset: 100 });
    const whole = new Whitening({ method }).fit(x);
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer({ min: 1, max: 699 }), { maxLength: 6 }), fc.boolean(), (cuts, merged) => {
        const ends = [0, ...cuts.sort((a, b) => a - b), 700];
        const parts = ends.slice(1).map((to, i) => partOf(x, ends[i], to));
        const whitening = new Whitening({ method });
        for (const part of parts) {
          if (merged) whitening.merge(new Whitening({ method }).fit(part));
          else whitening.partialFit(part);
        }
        expect(whitening.nSamplesSeen).toBe(700);
        expect(relativeDifference(whitening.mean, whole.mean)).toBeLessThan(1e-14);
        expect(relativeDifference(whitening.covariance.data, whole.covariance.data)).toBeLessThan(1e-12);
        expect(relativeDifference(whitening.whiteningMatrix.data, whole.whiteningMatrix.data)).toBeLessThan(1e-12);
      }),
      { numRuns: 20 },
    );
  });

  it("has the same bits in any memory and any chunks", () => {
    for (const dtype of ["float32", "float64"] as const) {
      const x = rowsOf(600, 7, { dtype });
      const whitening = new Whitening({ method }).fit(x);
      const y = whitening.transform(x);
      const back = whitening.inverseTransform(y);
      for (const bytes of [64, 5000, 1 << 24]) {
        setStageBytes(bytes);
        const again = new Whitening({ method }).fit(x);
        expect(JSON.stringify(again)).toBe(JSON.stringify(whitening));
        expect(bits(again.transform(x).data)).toBe(bits(y.data));
        expect(bits(again.inverseTransform(y).data)).toBe(bits(back.data));
        const copy = { data: x.data.slice(), shape: x.shape };
        expect(again.transform(copy, { out: copy })).toBe(copy);
        expect(bits(copy.data)).toBe(bits(y.data));
      }
      const t = tensor([600, 7], { data: x.data, dtype });
      const other = tensor([600, 7], { dtype });
      expect(JSON.stringify(new Whitening({ method }).fit(t))).toBe(JSON.stringify(whitening));
      expect(bits(whitening.transform(t, { out: other }).data)).toBe(bits(y.data));
      expect(bits(whitening.transform(t, { out: t }).data)).toBe(bits(y.data));
      expect(bits(whitening.inverseTransform(t, { out: t }).data)).toBe(bits(back.data));
      t.dispose();
      other.dispose();
    }
    expect(memoryInfo().usedBytes).toBe(0);
  });

  it("is the same after JSON", () => {
    const whitening = new Whitening({ method, eps: 0.1, ddof: 1 }).fit(rowsOf(20, 3));
    const loaded = Whitening.fromJSON(JSON.parse(JSON.stringify(whitening)));
    expect(JSON.stringify(loaded)).toBe(JSON.stringify(whitening));
    expect(bits(loaded.whiteningMatrix.data)).toBe(bits(whitening.whiteningMatrix.data));
    expect(Whitening.fromJSON(new Whitening({ method }).toJSON()).nFeaturesIn).toBeUndefined();
  });

  it("adds eps to the eigenvalues", () => {
    const x = rowsOf(40, 3);
    const whitening = new Whitening({ method, eps: 0.5 }).fit(x);
    const c = whitening.covariance;
    const w = whitening.whiteningMatrix;
    // Wᵀ·C·W falls short of I by the share of eps: its eigenvalues are λ/(λ + eps).
    const got = new Decorrelation().fit(whitening.transform(x)).eigenvalues;
    const want = whitening.eigenvalues.map((value) => value / (value + 0.5));
    expect(largestDifference(got, want)).toBeLessThan(1e-13);
    const spread = matmul(matmul(w, c, { transposeA: true }), w).data;
    expect(largestDifference(spread, covarianceOf(whitening.transform(x)))).toBeLessThan(1e-13);
  });

  it("gives the gradient of transform", () => {
    const x = rowsOf(6, 3);
    const whitening = new Whitening({ method }).fit(x);
    const dy = tensorOf([6, 3], 9);
    const { dx } = whitening.backward(dy);
    const loss = () => dot(whitening.transform(x).data, dy.data);
    expect(differenceFromNumerical(loss, x.data as Float64Array, dx.data)).toBeLessThan(1e-8);
    const rounded = { data: Float32Array.from(dy.data), shape: [6, 3] };
    expect(largestDifference(whitening.backward(rounded, { out: rounded }).dx.data, dx.data)).toBeLessThan(1e-6);
    expect(() => whitening.backward(tensorOf([6, 2], 1))).toThrow("Whitening.backward: dy must be [rows, 3]");
  });
});

describe("Whitening", () => {
  it("agrees with an example worked by hand", () => {
    // Covariance [[2, 1], [1, 2]]: eigenvalues 3 and 1, directions (1, 1) and (1, −1).
    const [a, b] = [Math.sqrt(3), 1];
    const x = [
      [a, a],
      [-a, -a],
      [b, -b],
      [-b, b],
    ];
    const whitening = new Whitening({ method: "pca" }).fit(x);
    expect(largestDifference(whitening.covariance.data, [2, 1, 1, 2])).toBeLessThan(1e-15);
    expect(largestDifference(whitening.eigenvalues, [3, 1])).toBeLessThan(2e-15);
    const root = Math.SQRT2;
    expect(largestDifference(whitening.transform(x).data, [root, 0, -root, 0, 0, root, 0, -root])).toBeLessThan(1e-15);
    const zca = new Whitening({ method: "zca" }).fit(x);
    expect(largestDifference(zca.transform(x).data, [1, 1, -1, -1, 1, -1, -1, 1])).toBeLessThan(1e-15);
    // L·Lᵀ = [[2, −1], [−1, 2]]/3.
    const cholesky = new Whitening({ method: "cholesky" }).fit(x).whiteningMatrix;
    const l = Math.sqrt(2 / 3);
    expect(largestDifference(cholesky.data, [l, 0, -l / 2, Math.SQRT1_2])).toBeLessThan(1e-15);
  });

  it("keeps to the symmetric matrix for zca, and to the units for the correlation", () => {
    const x = rowsOf(50, 6);
    const zca = new Whitening({ method: "zca" }).fit(x).whiteningMatrix.data;
    expect(bits(zca)).toBe(bits(zca.map((_, i) => zca[(i % 6) * 6 + Math.floor(i / 6)])));
    const units = { data: x.data.map((value, i) => value * 10 ** (i % 6)), shape: x.shape };
    for (const method of ["zca-cor", "pca-cor"] as const) {
      const plain = new Whitening({ method }).fitTransform(x);
      expect(largestDifference(new Whitening({ method }).fitTransform(units).data, plain.data)).toBeLessThan(1e-12);
    }
  });

  it("keeps the leading components", () => {
    const x = rowsOf(60, 5);
    for (const method of ["pca", "pca-cor"] as const) {
      const all = new Whitening({ method }).fit(x);
      const two = new Whitening({ method, nComponents: 2 }).fit(x);
      const y = two.transform(x);
      expect(y.shape).toEqual([60, 2]);
      const want = all.transform(x).data.filter((_, i) => i % 5 < 2);
      expect(largestDifference(y.data, want)).toBeLessThan(1e-14);
      expect(two.inverseTransform(y).shape).toEqual([60, 5]);
      expect(two.whiteningMatrix.shape).toEqual([5, 2]);
      expect(two.eigenvalues).toEqual(all.eigenvalues);
      const back = two.inverseTransform({ data: new Float32Array(4), shape: [2, 2] }).data;
      expect(largestDifference(back, [...two.mean, ...two.mean])).toBeLessThan(1e-6);
      expect(() => two.inverseTransform(x)).toThrow(
        "Whitening.inverseTransform: x has 5 columns where transform gives 2",
      );
    }
  });

  it.each(["pca", "zca", "pca-cor", "zca-cor"] as const)("leaves out directions without variance: %s", (method) => {
    const constant = matrixOf(9, 3, (i, j) => (j === 1 ? 0.1 : Math.sin(i * 3 + j)));
    const combined = matrixOf(30, 4, (i, j) => [Math.sin(i), Math.cos(i), 2 * Math.sin(i) - 3 * Math.cos(i), i % 5][j]);
    const few = rowsOf(4, 9, { offset: 1000 });
    for (const [x, rank] of [
      [constant, 2],
      [combined, 3],
      [few, 3],
      [matrixOf(5, 2, () => 0.1), 0],
      [matrixOf(5, 1, () => 1e-300), 0],
      [rowsOf(1, 3), 0],
      [{ data: new Float32Array(12).fill(1e-30), shape: [4, 3] }, 0],
    ] as const) {
      const whitening = new Whitening({ method }).fit(x);
      const y = whitening.transform(x);
      const spectrum = new Decorrelation().fit(y).eigenvalues;
      expect(
        largestDifference(
          spectrum,
          spectrum.map((_, i) => (i < rank ? 1 : 0)),
        ),
      ).toBeLessThan(1e-10);
      // Rows that were fitted have nothing in the directions left out.
      expect(relativeDifference(whitening.inverseTransform(y).data, x.data)).toBeLessThan(1e-11);
      const other = whitening.transform({ data: x.data.map((value) => value + 1), shape: [...x.shape] });
      expect(other.data.every(Number.isFinite)).toBe(true);
    }
    const mean = new Whitening({ method }).fit(constant).inverseTransform([[1, 1, 1]]).data;
    expect(mean[1]).toBeCloseTo(0.1, 14);
  });

  it("says what to do about a singular covariance by cholesky", () => {
    const constant = matrixOf(9, 3, (i, j) => (j === 1 ? 0.1 : Math.sin(i * 3 + j)));
    const whitening = new Whitening({ method: "cholesky" }).fit(constant);
    const message = "the covariance is singular: column 1 is constant, or to rounding a combination";
    expect(() => whitening.transform(constant)).toThrow(`Whitening.transform: ${message}`);
    expect(() => whitening.whiteningMatrix).toThrow(`Whitening.whiteningMatrix: ${message}`);
    const y = new Whitening({ method: "cholesky", eps: 0.01 }).fitTransform(constant);
    expect(y.data.every(Number.isFinite)).toBe(true);
    expect(new Whitening({ method: "cholesky" }).fit(rowsOf(3, 5)).eigenvalues.length).toBe(5);
    expect(() => new Whitening({ method: "cholesky" }).fitTransform(rowsOf(3, 5))).toThrow("set eps above 0");
  });

  it("is right for f32 rows that are nearly dependent", () => {
    // Variances 1 and 1e-10: products in f32 would drown the smaller, and rounding W to f32 spoil it.
    const x = { data: Float32Array.from(rowsOf(500, 2).data), shape: [500, 2] };
    for (let i = 0; i < 500; i++) x.data[2 * i + 1] = x.data[2 * i] + 2e-5 * x.data[2 * i + 1];
    for (const method of methods) {
      const y = new Whitening({ method }).fitTransform(x);
      expect(largestDifference(covarianceOf(y), identity(2))).toBeLessThan(1e-5);
    }
  });

  it("refuses what it cannot do, and learns nothing from it", () => {
    const whitening = new Whitening({ method: "pca" }).fit(rowsOf(5, 3));
    const before = JSON.stringify(whitening);
    for (const value of [Number.NaN, Infinity, -Infinity]) {
      for (const dtype of ["float32", "float64"] as const) {
        const x = rowsOf(400, 3, { dtype });
        x.data[3 * 300 + 2] = value;
        expect(() => whitening.partialFit(x)).toThrow(
          `Whitening.partialFit: x[300, 2] is ${value}; a covariance has no`,
        );
        expect(() => whitening.fit(x)).toThrow(`Whitening.fit: x[300, 2] is ${value}`);
      }
    }
    expect(() => whitening.fit([[1e200], [-1e200]])).toThrow("the squares of x leave the range of float64");
    expect(() => whitening.partialFit([[1, 2]])).toThrow("x has 2 features where the scaler was fitted on 3");
    expect(() => whitening.transform([[1, 2]])).toThrow("Whitening.transform: x has 2 features");
    expect(() => whitening.transform(rowsOf(2, 3), { out: rowsOf(2, 2) })).toThrow("out has shape [2, 2]");
    expect(() => whitening.merge(new Decorrelation() as never)).toThrow("other must be a Whitening, got Decorrelation");
    expect(JSON.stringify(whitening)).toBe(before);
    expect(() => new Whitening().transform([[1]])).toThrow("Whitening.transform: the scaler is not fitted");
    expect(() => new Whitening().mean).toThrow("Whitening.mean: the scaler is not fitted");
    expect(() => new Whitening({ method: "svd" as never })).toThrow('Whitening: method must be "pca" or "zca" or');
    expect(() => new Whitening({ eps: -1 })).toThrow("Whitening: eps must be a finite number of at least 0, got -1");
    expect(() => new Whitening({ nComponents: 1.5 })).toThrow("Whitening: nComponents must be a whole number");
    expect(() => new Whitening({ nComponents: 0 })).toThrow("Whitening: nComponents must be a whole number");
    expect(() => new Whitening({ method: "zca", nComponents: 1 })).toThrow('nComponents is for "pca" and "pca-cor"');
    expect(() => new Whitening({ nComponents: 3 }).fit([[1, 2]])).toThrow(
      "Whitening.fit: nComponents (3) must be at most the number of columns of x (2)",
    );
    const single = new Whitening({ ddof: 1 }).fit([[1, 2]]);
    expect(() => single.covariance).toThrow("Whitening.covariance: a covariance takes more than ddof (1) rows, got 1");
    expect(() => single.transform([[1, 2]])).toThrow("Whitening.transform: a covariance takes more than ddof (1) rows");
    const two = new Whitening({ method: "pca", nComponents: 2 }).fit(rowsOf(5, 3));
    const t = tensor([5, 3], { dtype: "float64" });
    const shared = { data: t.data.subarray(0, 10), shape: [5, 2] };
    expect(() => two.transform(t, { out: shared })).toThrow("out must not be x, whose rows are of another length");
    t.dispose();
    expect(memoryInfo().usedBytes).toBe(0);
  });

  it("keeps NaN to its row in transform", () => {
    const whitening = new Whitening({ method: "zca" }).fit(rowsOf(20, 3));
    const x = rowsOf(5, 3);
    const clean = whitening.transform(x).data;
    x.data[4] = Number.NaN;
    const y = whitening.transform(x).data;
    expect([...y].map(Number.isNaN)).toEqual([...y].map((_, i) => i >= 3 && i < 6));
    expect(bits(y.filter((_, i) => i < 3 || i >= 6))).toBe(bits(clean.filter((_, i) => i < 3 || i >= 6)));
  });
});

describe("Decorrelation", () => {
  it("rotates to uncorrelated columns, the largest variance first, and back", () => {
    for (const [rows, n] of [
      [7, 1],
      [40, 4],
      [5, 9],
      [300, 17],
    ]) {
      const x = rowsOf(rows, n, { offset: 10 });
      const decorrelation = new Decorrelation({ ddof: 1 });
      const y = decorrelation.fitTransform(x);
      const { eigenvalues } = decorrelation;
      const diagonal = matrixOf(n, n, (i, j) => (i === j ? eigenvalues[i] : 0)).data;
      expect(largestDifference(covarianceOf(y, 1), diagonal)).toBeLessThan(1e-12 * eigenvalues[0]);
      expect(eigenvalues.every((value, i) => value >= 0 && (i === 0 || value <= eigenvalues[i - 1]))).toBe(true);
      expect(largestDifference(decorrelation.inverseTransform(y).data, x.data)).toBeLessThan(1e-12);
      const v = decorrelation.rotation;
      expect(largestDifference(matmul(v, v, { transposeA: true }).data, identity(n))).toBeLessThan(1e-13);
    }
  });

  it("works in f32, merges, saves and gives its gradient", () => {
    const x = rowsOf(400, 3, { dtype: "float32", offset: 1e4 });
    const whole = new Decorrelation().fit(x);
    const parts = new Decorrelation().fit(partOf(x, 0, 100)).merge(new Decorrelation().fit(partOf(x, 100, 400)));
    expect(relativeDifference(parts.eigenvalues, whole.eigenvalues)).toBeLessThan(1e-12);
    const y = whole.transform(x);
    expect(relativeDifference(new Decorrelation().fit(y).eigenvalues, whole.eigenvalues)).toBeLessThan(1e-6);
    const loaded = Decorrelation.fromJSON(JSON.parse(JSON.stringify(whole)));
    expect(bits(loaded.transform(x).data)).toBe(bits(y.data));
    const dy = tensorOf([2, 3], 4);
    const want = matmul(dy, whole.rotation, { transposeB: true }).data;
    expect(largestDifference(whole.backward(dy).dx.data, want)).toBeLessThan(1e-15);
    expect(() => new Decorrelation({ ddof: -1 })).toThrow("Decorrelation: ddof must be a finite number of at least 0");
    expect(() => Decorrelation.fromJSON(new Whitening().toJSON())).toThrow('kind must be "Decorrelation"');
  });
});
