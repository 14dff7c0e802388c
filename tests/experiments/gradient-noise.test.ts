/**
 * The noise of small batches, and what it does. The step η·g of a batch of B has a covariance of η²/B times that of one
 * sample's gradient: √B of learning rate keeps it (Hoffer, Hubara and Soudry 2017, arXiv:1705.08741, section 4), as η ∝
 * B keeps the noise scale ηN/B over an epoch (Smith, Kindermans, Ying and Le 2017, arXiv:1711.00489). Early in training
 * at a high rate the distance from the start grows like log t (Hoffer, section 3). Noise drives descent out of sharp
 * minima (Keskar et al. 2016, arXiv:1609.04836).
 *
 * What is shown: the covariances, within the error of sampling; log t against √t and t as a fit for one small network
 * and setting, not in general (with batches of 10 in place of 60, √t fits better here); sharpness as a measure on
 * functions whose sharpness is known, and its direction on a landscape of two wells. On networks of this size large
 * batches do not always end sharper (that turned on the rate and the box), so no test says so.
 */
import { describe, expect, it } from "vitest";
import { batchesOf, clusters, Network, rowsOf } from "../support/network.js";
import { random } from "../support/numbers.js";
import { lengthOf, lineThrough, meanOf, normals } from "../support/statistics.js";

const data = clusters(600, 5, { spread: 1.5 });

describe("the step of a batch of B", () => {
  const network = new Network({ sizes: [20, 16, 10], seed: 1 });
  network.lossAndGradients(data);
  const mean = network.gradients();
  /** E‖η·(g − E g)‖² over random batches, drawn with replacement. */
  const spread = (size: number, rate: number) => {
    const batches = batchesOf(data, size, size);
    const squares = Array.from({ length: 300 }, () => {
      network.lossAndGradients(batches.next().value);
      return (rate * lengthOf(network.gradients().map((value, i) => value - mean[i]))) ** 2;
    });
    return meanOf(squares);
  };
  const base = spread(8, 0.1);

  it("varies as η²/B, so that √B of rate keeps its covariance", () => {
    expect(spread(72, 0.1) / base).toBeGreaterThan(0.85 / 9);
    expect(spread(72, 0.1) / base).toBeLessThan(1.15 / 9);
    expect(Math.abs(spread(72, 0.1 * Math.sqrt(72 / 8)) / base - 1)).toBeLessThan(0.15);
  });

  it("over an epoch varies as η²·N/B², so that a rate in proportion to B keeps it", () => {
    const epoch = (size: number, rate: number) => (spread(size, rate) * data.labels.length) / size;
    expect(Math.abs(epoch(72, 0.1 * (72 / 8)) / epoch(8, 0.1) - 1)).toBeLessThan(0.15);
  });
});

it.each([1, 2])("the distance from the start grows like log t rather than √t or t (seed %i)", (seed) => {
  const network = new Network({ sizes: [20, 32, 32, 10], seed, norm: "batch" });
  const start = network.weights();
  const batches = batchesOf(data, 60, seed);
  const [times, distances]: number[][] = [[], []];
  for (let step = 1, next = 1; step <= 700; step++) {
    network.lossAndGradients(batches.next().value);
    network.step(0.5);
    if (step < next) continue;
    times.push(step);
    distances.push(lengthOf(network.weights().map((value, i) => value - start[i])));
    next = Math.ceil(1.25 * step);
  }
  const likeness = (scale: (t: number) => number) => lineThrough(times.map(scale), distances).correlation;
  expect(likeness(Math.log)).toBeGreaterThan(0.98);
  expect(likeness(Math.log)).toBeGreaterThan(likeness(Math.sqrt));
  expect(likeness(Math.log)).toBeGreaterThan(likeness((t) => t) + 0.05);
});

/** The loss and its gradient at a place. */
type Landscape = (at: Float64Array) => { loss: number; gradient: Float64Array };

/**
 * 100·(max f − f(x))/(1 + f(x)), the maximum over the box |zᵢ| ≤ ε·(|xᵢ| + 1), sought by steps of the sign of the
 * gradient from a small random place.
 */
function sharpness(landscape: Landscape, x: Float64Array, epsilon: number): number {
  const box = x.map((value) => epsilon * (Math.abs(value) + 1));
  const next = random(1);
  let z = box.map((side) => 0.01 * side * next());
  let highest = landscape(x).loss;
  for (let step = 0; step < 12; step++) {
    const { loss, gradient } = landscape(x.map((value, i) => value + z[i]));
    highest = Math.max(highest, loss);
    z = z.map((value, i) => Math.min(box[i], Math.max(-box[i], value + 0.5 * Math.sign(gradient[i]) * box[i])));
  }
  return (100 * (highest - landscape(x).loss)) / (1 + landscape(x).loss);
}

describe("sharpness", () => {
  const bowl =
    (curvature: number): Landscape =>
    (at) => ({
      loss: 1 + 0.5 * curvature * at.reduce((sum, value) => sum + value * value, 0),
      gradient: at.map((value) => curvature * value),
    });

  it("of a bowl is 100·½·h·d·ε²/(1 + f): in proportion to the curvature", () => {
    for (const curvature of [1, 10, 100]) {
      const found = sharpness(bowl(curvature), new Float64Array(6), 5e-3);
      expect(found).toBeCloseTo((100 * 0.5 * curvature * 6 * 5e-3 ** 2) / 2, 12);
    }
  });

  it("of a trained network grows with the box", () => {
    const network = new Network({ sizes: [20, 16, 10], seed: 3 });
    const few = rowsOf(data, [...Array(200).keys()]);
    for (let step = 0; step < 150; step++) {
      network.lossAndGradients(few);
      network.step(0.2);
    }
    const landscape: Landscape = (at) => {
      network.setWeights(at);
      return { loss: network.lossAndGradients(few), gradient: network.gradients() };
    };
    const weights = network.weights();
    const [small, large] = [1e-3, 5e-3].map((epsilon) => sharpness(landscape, weights, epsilon));
    expect(small).toBeGreaterThan(0);
    expect(large).toBeGreaterThan(2 * small);
  });
});

describe("a landscape with a sharp well at −1 and a flat one at 1, equally deep", () => {
  const [sharp, flat] = [60, 3];
  const landscape: Landscape = ([w]) => {
    const [left, right] = [Math.exp(-0.5 * sharp * (w + 1) ** 2), Math.exp(-0.5 * flat * (w - 1) ** 2)];
    const slope = (left * sharp * (w + 1) + right * flat * (w - 1)) / (left + right);
    return { loss: -Math.log(left + right), gradient: Float64Array.of(slope) };
  };
  /** The share of 100 walks from the sharp well that end in the flat one. */
  const leavers = (batch: number) => {
    const noise = normals(100 * 400, batch);
    let left = 0;
    for (let walk = 0; walk < 100; walk++) {
      let w = -1;
      for (let step = 0; step < 400; step++) {
        const { gradient } = landscape(Float64Array.of(w));
        w -= 0.01 * (gradient[0] + (60 * noise[walk * 400 + step]) / Math.sqrt(batch));
      }
      if (w > 0) left++;
    }
    return left / 100;
  };

  it("small batches leave the sharp one, large batches stay", () => {
    expect(leavers(4)).toBeGreaterThan(0.5);
    expect(leavers(400)).toBe(0);
  });

  it("sharpness tells them apart", () => {
    const at = (w: number) => sharpness(landscape, Float64Array.of(w), 5e-3);
    expect(at(-1) / at(1)).toBeGreaterThan(10);
  });
});
