/**
 * The statistics of a batch are noisy: for normal values of variance σ² in batches of m, the mean has variance σ²/m,
 * the deviation about σ²/(2m), and the (unbiased) variance 2σ⁴/(m − 1). This is the noise that makes batch norm a mild
 * regularizer, and the error that makes it fail on small batches. (Ioffe and Szegedy 2015, arXiv:1502.03167, section
 * 3.4, for the effect; the formulas are those of sampling theory.)
 */
import { describe, expect, it } from "vitest";
import { BatchNorm, batchNorm, batchNormForward } from "../../src/index.js";
import { lineThrough, meanOf, normalMatrix, varianceOf } from "../support/statistics.js";

/** Mean and deviation of each of many batches of m normal values; a batch a channel. */
function statisticsOf(m: number, batches: number, deviation: number, seed: number) {
  const x = normalMatrix(m, batches, seed, 5, deviation);
  const { saved } = batchNormForward(x, { eps: 0 });
  const std = saved.rstd.map((value) => 1 / value);
  return { mean: saved.mean, std, variance: std.map((value) => (value * value * m) / (m - 1)) };
}

// Over B batches the variance of normal numbers is known to a part of √(2/B): 5 of these for the bounds below.
const BATCHES = 4000;
const within = 5 * Math.sqrt(2 / BATCHES);

describe.each([8, 16, 64, 128])("batches of %i", (m) => {
  const sigma = 3;
  const { mean, std, variance } = statisticsOf(m, BATCHES, sigma, m);

  it("have means of variance σ²/m", () => {
    expect(Math.abs((varianceOf(mean) * m) / sigma ** 2 - 1)).toBeLessThan(within);
  });

  it("have deviations of variance near σ²/(2m)", () => {
    // The approximation itself is off by a part of some 1/(4m).
    expect(Math.abs((varianceOf(std) * 2 * m) / sigma ** 2 - 1)).toBeLessThan(within + 1 / m);
  });

  it("have variances of variance 2σ⁴/(m − 1), right in the mean only with m − 1", () => {
    // The variance of a χ² value's estimate: excess kurtosis 12/(m − 1).
    const spread = 5 * Math.sqrt((2 + 12 / (m - 1)) / BATCHES);
    expect(Math.abs((varianceOf(variance) * (m - 1)) / (2 * sigma ** 4) - 1)).toBeLessThan(spread);
    const error = 5 * Math.sqrt(2 / (m - 1) / BATCHES);
    expect(Math.abs(meanOf(variance) / sigma ** 2 - 1)).toBeLessThan(error);
    expect(Math.abs((meanOf(variance) * (m - 1)) / m / sigma ** 2 - (m - 1) / m)).toBeLessThan(error);
  });
});

describe("the smaller the batch", () => {
  const sizes = [2, 4, 8, 16, 32, 64, 128];

  it("the larger the error of its deviation, as m to the power −1/2", () => {
    const errors = sizes.map((m) => {
      const { variance } = statisticsOf(m, 2000, 1, 50 + m);
      return Math.sqrt(meanOf(variance.map((value) => (value - 1) ** 2)));
    });
    for (let i = 1; i < sizes.length; i++) expect(errors[i]).toBeLessThan(errors[i - 1]);
    // √(2/(m − 1)): a slope of −1/2 in logarithms but for the −1.
    const { slope } = lineThrough(
      sizes.map((m) => Math.log(m - 1)),
      errors.map(Math.log),
    );
    expect(Math.abs(slope + 0.5)).toBeLessThan(0.05);
  });

  it("the more the output for one and the same sample varies from batch to batch", () => {
    const noise = [4, 16, 64].map((m) => {
      const x = normalMatrix(m, 2000, 7 + m);
      x.data.fill(0.5, 0, 2000); // the first sample of every batch
      return varianceOf(batchNorm(x).data.subarray(0, 2000));
    });
    expect(noise[0]).toBeGreaterThan(3 * noise[1]);
    expect(noise[1]).toBeGreaterThan(3 * noise[2]);
  });

  it("the further training is from inference", () => {
    const gap = (m: number) => {
      const norm = new BatchNorm(1, { dtype: "float64", momentum: null });
      const differences: number[] = [];
      norm.recalibrate([normalMatrix(20000, 1, 1)]);
      for (let batch = 0; batch < 100; batch++) {
        const x = normalMatrix(m, 1, 100 + batch);
        const train = batchNorm(x).data;
        const infer = norm.eval().forward(x).data;
        differences.push(meanOf(train.map((value, i) => (value - infer[i]) ** 2)));
      }
      return meanOf(differences);
    };
    const gaps = [2, 8, 32].map(gap);
    expect(gaps[0]).toBeGreaterThan(2 * gaps[1]);
    expect(gaps[1]).toBeGreaterThan(2 * gaps[2]);
  });
});

describe("a batch of one", () => {
  it("has no deviation in a dense layer: training refuses it", () => {
    expect(() => batchNorm(normalMatrix(1, 3, 1))).toThrow(/needs at least 2/);
  });

  it("has one over the positions of a picture: training does not mind", () => {
    const y = batchNorm({ data: normalMatrix(1, 2 * 25, 1).data, shape: [1, 2, 5, 5] }).data;
    for (const channel of [y.subarray(0, 25), y.subarray(25)]) {
      expect(Math.abs(meanOf(channel))).toBeLessThan(1e-12);
      expect(varianceOf(channel)).toBeCloseTo(1, 4);
    }
  });
});

it("is noise of another kind than dropout's: less for larger batches, where dropout's stays", () => {
  // Dropout at rate p multiplies by 0 or 1/(1 − p): variance p/(1 − p) of the factor, whatever the batch. Batch norm's
  // factor σ/s has variance about 1/(2m).
  const factor = (m: number) => varianceOf(statisticsOf(m, BATCHES, 1, 900 + m).std.map((value) => 1 / value));
  const half = 0.5 / (1 - 0.5);
  for (const m of [32, 128]) {
    expect(Math.abs(factor(m) * 2 * m - 1)).toBeLessThan(within + 6 / m);
    expect(factor(m)).toBeLessThan(half / 20);
  }
});
