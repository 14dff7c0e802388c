/**
 * What mixtures of normalizations learn to prefer. Switchable norm moves from batch statistics to layer and instance
 * statistics as batches get smaller (Luo et al. 2018, arXiv:1806.10779); batch-instance norm keeps the contrast of a
 * sample where it tells something (rho near 1) and takes it off where it does not (rho near 0) (Nam and Kim 2018,
 * arXiv:1805.07925).
 *
 * Regression on generated data, the gates alone being learned: that shows what the gates are for, not which ones a deep
 * network ends up with.
 */
import { describe, expect, it } from "vitest";
import {
  BatchInstanceNorm,
  batchInstanceNormBackward,
  batchInstanceNormForward,
  switchableNormBackward,
  switchableNormForward,
  type Tensor,
} from "../../src/index.js";
import { meanOf, normals } from "../support/statistics.js";

const softmax = (logits: Float64Array) => {
  const powers = logits.map(Math.exp);
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((value) => value / sum);
};
const residual = (y: Tensor, target: Float64Array): Tensor => ({
  data: y.data.map((value, i) => (value - target[i]) / target.length),
  shape: y.shape,
});

describe("switchable norm", () => {
  /** Shares of instance, layer and batch statistics that bring noisy features back to mean 0, variance 1 best. */
  const learn = (samples: number) => {
    const shape = [samples, 16, 4];
    const length = samples * 64;
    let meanLogits = new Float64Array(3).fill(1);
    let varLogits = new Float64Array(3).fill(1);
    for (let step = 0; step < 150; step++) {
      const clean = normals(length, 1000 * samples + step);
      const x = { data: clean.map((value) => 2 + 3 * value), shape };
      const { y, saved } = switchableNormForward(x, { meanLogits, varLogits });
      const { dmeanLogits, dvarLogits } = switchableNormBackward(residual(y, clean), saved);
      meanLogits = meanLogits.map((value, i) => value - 5 * dmeanLogits!.data[i]);
      varLogits = varLogits.map((value, i) => value - 5 * dvarLogits!.data[i]);
    }
    return { mean: softmax(meanLogits), variance: softmax(varLogits) };
  };
  const [small, large] = [learn(2), learn(32)];

  it("prefers the statistics of more values: layer for batches of 2, batch for batches of 32", () => {
    expect(small.mean[1]).toBeGreaterThan(small.mean[2]);
    expect(small.variance[1]).toBeGreaterThan(small.variance[2]);
    expect(large.mean[2]).toBeGreaterThan(small.mean[2] + 0.1);
    expect(large.variance[2]).toBeGreaterThan(small.variance[2] + 0.05);
  });

  it("turns from instance statistics over few positions in either case", () => {
    for (const { mean } of [small, large]) expect(mean[0]).toBeLessThan(0.25);
  });
});

describe("batch-instance norm", () => {
  /** rho after learning to restore content from x = contrast·content + brightness, or x as it is. */
  const learn = (styleMatters: boolean) => {
    const [samples, channels, positions] = [16, 2, 64];
    const shape = [samples, channels, positions];
    let rho = new Float64Array(channels).fill(0.5);
    for (let step = 0; step < 60; step++) {
      const content = normals(samples * channels * positions, 10 + step);
      const style = normals(2 * samples, 500 + step);
      const data = content.map((value, i) => {
        const sample = Math.floor(i / (channels * positions));
        return Math.exp(0.5 * style[sample]) * value + style[samples + sample];
      });
      const scale = Math.sqrt(meanOf(data.map((value) => value * value)));
      const target = styleMatters ? data.map((value) => value / scale) : content;
      const { y, saved } = batchInstanceNormForward({ data, shape }, { rho });
      const { drho } = batchInstanceNormBackward(residual(y, target), saved);
      // Held to [0, 1] after each step, as the method asks for.
      rho = rho.map((value, c) => Math.min(1, Math.max(0, value - 2 * drho!.data[c])));
    }
    return rho;
  };

  it("takes off contrast and brightness that tell nothing", () => {
    for (const rho of learn(false)) expect(rho).toBeLessThan(0.1);
  });

  it("keeps them where they matter", () => {
    for (const rho of learn(true)) expect(rho).toBeGreaterThan(0.9);
  });

  it("starts as batch norm", () => {
    expect([...new BatchInstanceNorm(3).rho.data]).toEqual([1, 1, 1]);
  });
});
