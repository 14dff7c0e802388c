import { describe, expect, it } from "vitest";
import { normalValues, readSeed } from "../../src/core/random.js";
import {
  lecunNormal,
  matmul,
  momentMap,
  SELU_ALPHA,
  SELU_LAMBDA,
  selfNormalizingConstants,
  selu,
} from "../../src/index.js";

/** Mean and variance of selu(z), z normal, by the midpoint rule on either side of the kink. */
function byQuadrature(mean: number, variance: number, alpha: number, lambda: number) {
  const deviation = Math.sqrt(variance);
  const sums = [0, 0];
  const steps = 200000;
  const [low, high] = [mean - 14 * deviation, mean + 14 * deviation];
  const parts = low < 0 && high > 0 ? [low, 0, high] : [low, high];
  for (let part = 1; part < parts.length; part++) {
    const h = (parts[part] - parts[part - 1]) / steps;
    for (let i = 0; i < steps; i++) {
      const z = parts[part - 1] + (i + 0.5) * h;
      const density = Math.exp(-0.5 * ((z - mean) / deviation) ** 2) / (deviation * Math.sqrt(2 * Math.PI));
      const y = lambda * (z > 0 ? z : alpha * Math.expm1(z));
      sums[0] += y * density * h;
      sums[1] += y * y * density * h;
    }
  }
  return { mean: sums[0], variance: sums[1] - sums[0] ** 2 };
}

const moments = (x: ArrayLike<number>) => {
  const list = Array.from(x);
  const mean = list.reduce((a, b) => a + b, 0) / list.length;
  return { mean, variance: list.reduce((sum, value) => sum + (value - mean) ** 2, 0) / list.length };
};

describe("the map of mean and variance through selu", () => {
  it("has the fixed point (0, 1)", () => {
    const { mean, variance } = momentMap(0, 1);
    expect(Math.abs(mean)).toBeLessThan(1e-15);
    expect(Math.abs(variance - 1)).toBeLessThan(2e-15);
  });

  it.each([
    [0, 1],
    [-0.1, 2],
    [1, 0.3],
    [-3, 0.5],
    [4, 9],
    [-6, 0.01],
  ])("is what quadrature gives for mean %f, variance %f", (mean, variance) => {
    const got = momentMap(mean, variance, { alpha: 1.3, lambda: 0.9 });
    const want = byQuadrature(mean, variance, 1.3, 0.9);
    expect(Math.abs(got.mean - want.mean)).toBeLessThan(1e-8);
    expect(Math.abs(got.variance - want.variance)).toBeLessThan(1e-7);
    const halved = momentMap(mean * 2, variance * 4, { alpha: 1.3, lambda: 0.9, weightSum: 0.5, weightSquares: 0.25 });
    expect(halved.mean).toBeCloseTo(got.mean, 13);
  });

  it("draws mean and variance to the fixed point, as in the paper's domain", () => {
    for (const [m, v] of [
      [-0.1, 0.8],
      [0.1, 1.5],
      [0.1, 0.8],
      [-0.1, 1.5],
    ]) {
      let at = { mean: m, variance: v };
      for (let layer = 0; layer < 100; layer++) at = momentMap(at.mean, at.variance, { weightSum: 0 });
      expect(Math.abs(at.mean)).toBeLessThan(1e-10);
      expect(Math.abs(at.variance - 1)).toBeLessThan(1e-10);
    }
  });

  it("stays finite where e^x would not", () => {
    for (const [mean, variance] of [
      [0, 1e4],
      [500, 1e6],
      [-700, 1e5],
      [-5000, 1],
      [1e3, 1e-6],
    ]) {
      const found = momentMap(mean, variance);
      expect(Number.isFinite(found.mean) && found.variance >= 0).toBe(true);
    }
  });
});

describe("self-normalizing constants", () => {
  it("are those of the paper for mean 0 and variance 1", () => {
    const { alpha, lambda } = selfNormalizingConstants();
    expect(Math.abs(alpha - SELU_ALPHA)).toBeLessThan(1e-14);
    expect(Math.abs(lambda - SELU_LAMBDA)).toBeLessThan(1e-14);
  });

  it("are those known for mean -0.1 and variance 2", () => {
    const { alpha, lambda } = selfNormalizingConstants(-0.1, 2);
    expect(Math.abs(alpha - 1.9769021954242014)).toBeLessThan(1e-13);
    expect(Math.abs(lambda - 1.073851239616046)).toBeLessThan(1e-13);
  });

  it.each([
    [0, 1],
    [0.2, 1.2],
    [-0.3, 0.7],
    [0, 3],
    [0.1, 0.5],
  ])("make (%f, %f) a fixed point to 1e-12", (mean, variance) => {
    const at = momentMap(mean, variance, selfNormalizingConstants(mean, variance));
    expect(Math.abs(at.mean - mean)).toBeLessThan(1e-12);
    expect(Math.abs(at.variance - variance)).toBeLessThan(1e-12);
    const sums = { weightSum: 0, weightSquares: 1.1 };
    const other = momentMap(mean, variance, { ...selfNormalizingConstants(mean, variance, sums), ...sums });
    expect(Math.abs(other.mean - mean)).toBeLessThan(1e-12);
  });

  it("do not exist everywhere, and need a variance", () => {
    expect(() => selfNormalizingConstants(-5, 0.01)).toThrow(/no positive alpha and lambda have the fixed point/);
    expect(() => selfNormalizingConstants(0, 0)).toThrow(/variance must be a finite number above 0/);
    expect(() => selfNormalizingConstants(Number.NaN)).toThrow(/mean must be a finite number/);
    expect(() => momentMap(0, 1, { weightSquares: 0 })).toThrow(/weightSquares must be/);
  });
});

describe("a deep network of selu and LeCun's weights", () => {
  it("keeps mean 0 and variance 1 through 32 layers", () => {
    const width = 128;
    let x = { data: normalValues(64 * width, "float32", readSeed("test", 1)), shape: [64, width] };
    for (let layer = 0; layer < 32; layer++) {
      const weight = lecunNormal([width, width], { seed: layer });
      const y = selu(matmul(x, weight, { transposeB: true }));
      x = { data: y.data, shape: [64, width] };
    }
    const { mean, variance } = moments(x.data);
    expect(Math.abs(mean)).toBeLessThan(0.1);
    expect(Math.abs(variance - 1)).toBeLessThan(0.3);
  });
});
