/**
 * Internal covariate shift: the distribution of what reaches a layer moves while the layers before it learn. Batch norm
 * was introduced to reduce it (Ioffe and Szegedy 2015, arXiv:1502.03167, figure 1b and c); that this is why it helps
 * has been disputed (Santurkar et al. 2018, arXiv:1805.11604, section 2.1), with networks that get noise of a new
 * distribution at every step behind each batch norm, and train as well.
 *
 * Four hidden layers of sigmoids on generated data. Shown: without batch norm the network hardly learns in these steps;
 * with it, it does; with noise behind it that moves the distributions more than in either, it still does. And that the
 * percentiles of a sigmoid's input, normalized, keep their place while those of a plain network move together.
 */
import { describe, expect, it } from "vitest";
import type { Tensor } from "../../src/index.js";
import { batchesOf, clusters, type Module, Network, train } from "../support/network.js";
import { random } from "../support/numbers.js";
import { columnOf, meanOf, normals, varianceOf } from "../support/statistics.js";

/** y = x·s + m for each value, s and m around means that are drawn anew for each unit at each step. */
class Noise implements Module {
  readonly #next: () => number;
  #seed: number;
  #factor = new Float64Array(0);

  constructor(seed: number) {
    this.#next = random(seed);
    this.#seed = seed;
  }

  forward({ data, shape }: Tensor): Tensor {
    const units = shape[1];
    const shifts = Float64Array.from({ length: units }, () => 0.5 * this.#next());
    const scales = Float64Array.from({ length: units }, () => 1.125 + 0.125 * this.#next());
    const noise = normals(2 * data.length, ++this.#seed);
    this.#factor = (data as Float64Array).map((_, i) => scales[i % units] + 0.1 * noise[i]);
    const y = this.#factor.map((s, i) => data[i] * s + shifts[i % units] + 0.1 * noise[data.length + i]);
    return { data: y, shape };
  }

  backward({ data, shape }: Tensor): Tensor {
    return { data: this.#factor.map((s, i) => s * data[i]), shape };
  }

  parameters() {
    return [];
  }
}

const data = clusters(600, 5, { spread: 1.5 });
const kinds = {
  plain: {},
  normalized: { norm: "batch" as const },
  noisy: { norm: "batch" as const, between: () => new Noise(77) },
};

/** Training losses, and how far the means of the last hidden layer's inputs moved from step to step. */
function run(kind: keyof typeof kinds, seed: number) {
  const sizes = [20, 32, 32, 32, 32, 10];
  const network = new Network({ sizes, seed, activation: "sigmoid", gain: 1, ...kinds[kind] });
  const batches = batchesOf(data, 60, seed);
  const losses: number[] = [];
  const shifts: number[] = [];
  let before: number[] | undefined;
  for (let step = 0; step < 200; step++) {
    losses.push(network.lossAndGradients(batches.next().value));
    network.step(1);
    const { input } = network.activations().at(-1)!;
    const means = Array.from({ length: input.shape[1] }, (_, unit) => meanOf(columnOf(input, unit)));
    if (before) shifts.push(meanOf(means.map((value, i) => Math.abs(value - before![i]))));
    before = means;
  }
  return { last: meanOf(losses.slice(-20)), shift: meanOf(shifts) };
}

describe.each([1, 2])("with seed %i", (seed) => {
  const [plain, normalized, noisy] = (["plain", "normalized", "noisy"] as const).map((kind) => run(kind, seed));

  it("a deep sigmoid network trains with batch norm and hardly without", () => {
    expect(plain.last).toBeGreaterThan(2); // of log(10) = 2.3 at the start
    expect(normalized.last).toBeLessThan(0.6);
  });

  it("it trains as well where noise moves the distributions at every step", () => {
    expect(noisy.last).toBeLessThan(0.6);
    expect(noisy.shift).toBeGreaterThan(3 * normalized.shift);
    expect(noisy.shift).toBeGreaterThan(3 * plain.shift);
  });
});

describe("the 15th, 50th and 85th percentile of what reaches a sigmoid", () => {
  /** Of the last hidden layer's inputs at every 10th step; the mean over its units. */
  const follow = (norm: "batch" | undefined) => {
    const network = new Network({ sizes: [20, 32, 32, 32, 10], seed: 4, activation: "sigmoid", norm });
    return Array.from({ length: 15 }, (_, round) => {
      train(network, data, { steps: 10, batchSize: 60, learningRate: 1, seed: round });
      network.forward(data.x);
      const { input } = network.activations().at(-1)!;
      return Array.from({ length: input.shape[1] }, (_, unit) => {
        const sorted = columnOf(input, unit).sort();
        return [0.15, 0.5, 0.85].map((share) => sorted[Math.round(share * (sorted.length - 1))]);
      });
    });
  };
  /** How far medians move against how far the outer percentiles are apart, over the units. */
  const drift = (steps: number[][][]) =>
    meanOf(
      steps[0].map((_, unit) => {
        const medians = steps.map((units) => units[unit][1]);
        const spread = meanOf(steps.map((units) => units[unit][2] - units[unit][0]));
        return Math.sqrt(varianceOf(medians)) / spread;
      }),
    );

  it("move less, for their distance, with batch norm than without", () => {
    expect(drift(follow("batch"))).toBeLessThan(drift(follow(undefined)) / 2);
  });
});
