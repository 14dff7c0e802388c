/**
 * Small batches: layer norm, which does not look at the batch, trains where batch norm's statistics have become noise,
 * and batch renormalization brings training and inference together.
 *
 * A small counterpart, on generated data, of layer norm against batch norm with batches of 4 (Ba, Kiros and Hinton
 * 2016, arXiv:1607.06450) and of batch renorm with small and with dependent batches (Ioffe 2017, arXiv:1702.03275,
 * sections 4.2 and 4.3). It shows the direction; the figures of those papers are of other networks and data.
 */
import { describe, expect, it } from "vitest";
import { BatchNorm, BatchRenorm } from "../../src/index.js";
import { clusters, Network, rowsOf, train } from "../support/network.js";
import { largestDifference } from "../support/numbers.js";
import { meanOf } from "../support/statistics.js";

const options = { spread: 1.5, features: 30 };
const training = clusters(400, 5, options);
const heldOut = clusters(500, 6, options);

function run(norm: "batch" | "layer", batchSize: number, seed: number) {
  const network = new Network({ sizes: [30, 48, 48, 10], seed, norm });
  const losses = train(network, training, { steps: 300, batchSize, learningRate: 0.05, seed });
  network.eval();
  return { training: meanOf(losses.slice(-100)), loss: network.loss(heldOut), accuracy: network.accuracy(heldOut) };
}

describe.each([1, 2])("with seed %i", (seed) => {
  it("layer norm trains better than batch norm on batches of 4, and does better on new data", () => {
    const [layer, batch] = [run("layer", 4, seed), run("batch", 4, seed)];
    expect(layer.training).toBeLessThan(batch.training / 2);
    expect(layer.loss).toBeLessThan(batch.loss);
  });

  it("batch norm fails on batches of 2, where each pair is mapped to −1 and 1", () => {
    const [layer, batch] = [run("layer", 2, seed), run("batch", 2, seed)];
    expect(layer.accuracy).toBeGreaterThan(0.75);
    expect(batch.accuracy).toBeLessThan(0.6);
  });

  it("they are near each other on batches of 64", () => {
    const [layer, batch] = [run("layer", 64, seed), run("batch", 64, seed)];
    expect(Math.abs(layer.accuracy - batch.accuracy)).toBeLessThan(0.06);
  });
});

describe("the difference between training and inference", () => {
  /** Batches of one class each: as far from independent as can be. */
  const dependent = Array.from({ length: 10 }, (_, label) =>
    rowsOf(
      training,
      Array.from({ length: 16 }, (_, i) => label + 10 * i),
    ),
  );
  const rounds = 100;

  it("is large for batch norm on dependent batches", () => {
    const norm = new BatchNorm(30, { dtype: "float64", momentum: 0.05 });
    for (let i = 0; i < rounds; i++) norm.forward(dependent[i % 10].x);
    const x = dependent[3].x;
    const y = norm.forward(x);
    expect(largestDifference(norm.eval().forward(x).data, y.data)).toBeGreaterThan(1);
  });

  it("is nothing for batch renorm without limits, whatever the batch", () => {
    const limits = { rMax: Number.POSITIVE_INFINITY, dMax: Number.POSITIVE_INFINITY };
    const norm = new BatchRenorm(30, { dtype: "float64", momentum: 0.05, limits });
    for (let i = 0; i < rounds; i++) norm.forward(dependent[i % 10].x);
    for (const x of [dependent[3].x, rowsOf(training, [1, 7]).x]) {
      const inference = norm.eval().forward(x);
      // Training moves the statistics after it has used them.
      const y = norm.train().forward(x);
      expect(largestDifference(inference.data, y.data)).toBeLessThan(1e-12);
    }
  });

  it("is between the two with limits, and that of batch norm at rMax 1 and dMax 0", () => {
    const gap = (rMax: number, dMax: number) => {
      const norm = new BatchRenorm(30, { dtype: "float64", momentum: 0.05, limits: { rMax, dMax } });
      for (let i = 0; i < rounds; i++) norm.forward(dependent[i % 10].x);
      const x = dependent[3].x;
      const inference = norm.eval().forward(x);
      const y = norm.train().forward(x);
      return meanOf(y.data.map((value, i) => Math.abs(value - inference.data[i])));
    };
    const gaps = [gap(1, 0), gap(1.5, 0.5), gap(3, 5)];
    expect(gaps[1]).toBeLessThan(0.8 * gaps[0]);
    expect(gaps[2]).toBeLessThan(0.05 * gaps[0]);
  });
});
