/**
 * Batch norm makes the loss smoother along the way that gradient descent takes (Santurkar, Tsipras, Ilyas and Madry
 * 2018, arXiv:1805.11604, figure 4): over steps of several lengths along the gradient, the loss varies less, and the
 * gradient stays nearer to what it was.
 *
 * Shown here for one family of small networks (ReLU, five hidden layers of 32, generated data) at the first 30 steps.
 * It is a statement about direction, not size, and not a law: with three hidden layers the loss varies more with batch
 * norm than without, and tanh networks whose weights start at a good scale show no difference; the last tests hold that
 * too.
 */
import { describe, expect, it } from "vitest";
import { batchesOf, clusters, Network, type Nonlinearity } from "../support/network.js";
import { lengthOf, meanOf } from "../support/statistics.js";

const data = clusters(600, 5);
const STEPS = [0.05, 0.15, 0.4];

/** Means over the first 30 steps of training. */
function measure(norm: "batch" | undefined, seed: number, activation: Nonlinearity = "relu", depth = 5) {
  const network = new Network({ sizes: [20, ...Array(depth).fill(32), 10], seed, norm, activation });
  const batches = batchesOf(data, 60, seed);
  const found = { lossRange: [] as number[], gradientChange: [] as number[], smoothness: [] as number[] };
  for (let step = 0; step < 30; step++) {
    const batch = batches.next().value;
    network.lossAndGradients(batch);
    const [weights, gradient] = [network.weights(), network.gradients()];
    const length = lengthOf(gradient);
    const along = STEPS.map((rate) => {
      network.setWeights(weights.map((value, i) => value - rate * gradient[i]));
      const loss = network.lossAndGradients(batch);
      const change = lengthOf(network.gradients().map((value, i) => value - gradient[i]));
      return { loss, change, perLength: change / (rate * length) };
    });
    const losses = along.map(({ loss }) => loss);
    found.lossRange.push(Math.max(...losses) - Math.min(...losses));
    // Relative to its length, since batch norm changes the scale of gradients.
    found.gradientChange.push(Math.max(...along.map(({ change }) => change)) / length);
    found.smoothness.push(Math.max(...along.map(({ perLength }) => perLength)));
    network.setWeights(weights);
    network.lossAndGradients(batch);
    network.step(0.1);
  }
  return {
    lossRange: meanOf(found.lossRange),
    gradientChange: meanOf(found.gradientChange),
    smoothness: meanOf(found.smoothness),
  };
}

describe.each([1, 2, 3])("ReLU networks of seed %i with batch norm, against those without, have", (seed) => {
  const without = measure(undefined, seed);
  const withNorm = measure("batch", seed);

  it("a loss that varies less along the gradient", () => {
    expect(withNorm.lossRange).toBeLessThan(0.7 * without.lossRange);
  });

  it("gradients that predict the next ones better", () => {
    expect(withNorm.gradientChange).toBeLessThan(0.5 * without.gradientChange);
  });

  it("a smaller effective smoothness constant, the change of the gradient for each unit of way", () => {
    expect(withNorm.smoothness).toBeLessThan(0.75 * without.smoothness);
  });
});

it("is not seen with tanh at a good initial scale", () => {
  const [normalized, plain] = [measure("batch", 1, "tanh"), measure(undefined, 1, "tanh")];
  expect(normalized.gradientChange).toBeGreaterThan(0.8 * plain.gradientChange);
});

it("is not seen in the loss of shallower networks, only in their gradients", () => {
  const [normalized, plain] = [measure("batch", 1, "relu", 3), measure(undefined, 1, "relu", 3)];
  expect(normalized.lossRange).toBeGreaterThan(plain.lossRange);
  expect(normalized.gradientChange).toBeLessThan(0.6 * plain.gradientChange);
});
