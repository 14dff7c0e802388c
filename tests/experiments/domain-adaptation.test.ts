/**
 * A batch-normalized network meets data of another domain, here scaled and shifted feature by feature: it fails with
 * the statistics of its training data, and works again when each layer's statistics are replaced by those of the new
 * domain, without a label or a gradient (Li et al. 2016, arXiv:1603.04779).
 */
import { describe, expect, it } from "vitest";
import { adaptBatchNorm, type Tensor } from "../../src/index.js";
import { clusters, type Data, Network, train } from "../support/network.js";
import { bits } from "../support/numbers.js";

const features = 20;
const elsewhere = ({ x, labels }: Data): Data => {
  const data = (x.data as Float64Array).map((value, i) => {
    const feature = i % features;
    return (2 + 0.2 * (feature % 5)) * value + 15 * Math.sin(feature);
  });
  return { x: { data, shape: x.shape }, labels };
};

describe.each([1, 2])("a network of seed %i", (seed) => {
  const sizes = [features, 32, 32, 10];
  const network = new Network({ sizes, seed, norm: "batch" });
  const source = clusters(600, 5);
  const heldOut = clusters(300, 6);
  const target = elsewhere(clusters(300, 7));
  const targetHeldOut = elsewhere(clusters(300, 8));
  train(network, source, { steps: 150, batchSize: 60, learningRate: 0.3, seed });
  const run = (batch: Tensor) => network.forward(batch);
  // The population statistics of training.
  adaptBatchNorm(network.norms(), [source.x], { run });
  network.eval();
  const before = {
    source: network.accuracy(heldOut),
    target: network.accuracy(targetHeldOut),
    weights: bits(network.weights()),
  };

  it("knows its own domain and not the other", () => {
    expect(before.source).toBeGreaterThan(0.9);
    expect(before.target).toBeLessThan(0.6);
  });

  it("knows the other after adaptation of its statistics alone", () => {
    adaptBatchNorm(network.norms(), [target.x], { run });
    network.eval();
    expect(network.accuracy(targetHeldOut)).toBeGreaterThan(before.target + 0.2);
    expect(bits(network.weights())).toBe(before.weights);
  });
});
