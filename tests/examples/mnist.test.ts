/** The training code of examples/mnist: its gradients, that a seed decides everything, and that it learns. */
import { describe, expect, it } from "vitest";
// @ts-expect-error plain JavaScript without declarations
import { batches, loadDigits, PIXELS, randomNumbers, slice } from "../../examples/mnist/data.mjs";
// @ts-expect-error plain JavaScript without declarations
import { Network, softmaxCrossEntropy } from "../../examples/mnist/network.mjs";
// @ts-expect-error plain JavaScript without declarations
import { reportPage } from "../../examples/mnist/report.mjs";
// @ts-expect-error plain JavaScript without declarations
import { compareStandardization } from "../../examples/mnist/standardize.mjs";
// @ts-expect-error plain JavaScript without declarations
import { train } from "../../examples/mnist/train.mjs";
import { differenceFromNumerical, tensorOf, values } from "../support/numbers.js";

const digits = loadDigits(7);

interface Evaluation {
  step: number;
  loss: number | null;
  accuracy: number;
  percentiles: number[];
}

/** A short training on few digits; its evaluations. */
function shortTraining(options: object): Evaluation[] {
  const evaluations: Evaluation[] = [];
  train({
    training: slice(digits, 0, 400),
    heldOut: slice(digits, 400, 600),
    sizes: [PIXELS, 20, 20, 10],
    batchNorm: true,
    steps: 200,
    seed: 3,
    learningRate: 0.3,
    evaluateEvery: 50,
    onEvaluation: (evaluation: Evaluation) => evaluations.push(evaluation),
    ...options,
  });
  return evaluations;
}

describe("the network", () => {
  it.each([true, false])("goes back as finite differences say (batch norm: %s)", (batchNorm) => {
    const x = tensorOf([6, 5], 1);
    const labels = [0, 3, 1, 2, 2, 0];
    const gradient = { data: new Float64Array(6 * 4), shape: [6, 4] };
    // Weights of this size keep the gradients of the first layer well above the rounding of the differences.
    const network = new Network([5, 4, 3, 4], { random: randomNumbers(2), batchNorm, deviation: 1, dtype: "float64" });
    const loss = () => softmaxCrossEntropy(network.forward(x), labels);
    softmaxCrossEntropy(network.forward(x), labels, gradient);
    network.backward(gradient);
    const parameters: { data: Float64Array; grad: Float64Array }[] = network.parameters();
    expect(parameters).toHaveLength(batchNorm ? 8 : 6);
    for (const { data, grad } of parameters) {
      // A difference of losses near 1 rounds to some 1e-15, which h = 1e-5 makes 1e-10, against gradients from 1e-3 on.
      expect(differenceFromNumerical(loss, data, grad.slice())).toBeLessThan(1e-6);
    }
  });

  it("takes steps against the gradient of the last batch alone", () => {
    const x = tensorOf([6, 5], 1);
    const gradient = { data: new Float64Array(6 * 4), shape: [6, 4] };
    const network = new Network([5, 4, 4], { random: randomNumbers(2), batchNorm: true, dtype: "float64" });
    const propagate = (): { data: Float64Array; grad: Float64Array }[] => {
      softmaxCrossEntropy(network.forward(x), [0, 3, 1, 2, 2, 0], gradient);
      network.backward(gradient);
      return network.parameters();
    };
    const first = propagate().map(({ grad }) => grad.slice());
    network.step(0);
    const parameters = propagate();
    expect(parameters.map(({ grad }) => grad.slice())).toEqual(first);
    const expected = parameters.map(({ data, grad }) => data.map((value, i) => value - 0.5 * grad[i]));
    network.step(0.5);
    expect(parameters.map(({ data }) => data.slice())).toEqual(expected);
  });

  it("has a loss of log(classes) where it knows nothing", () => {
    const logits = { data: new Float64Array(20).fill(800), shape: [2, 10] };
    expect(softmaxCrossEntropy(logits, [4, 9])).toBeCloseTo(Math.log(10), 14);
  });
});

describe("the digits", () => {
  it("are 10,000 in random order, with their labels", () => {
    expect(digits.count).toBe(10000);
    const sizes = new Array(10).fill(0);
    for (const label of digits.labels) sizes[label]++;
    expect(sizes).toEqual([1001, 1127, 991, 1032, 980, 863, 1014, 1070, 944, 978]);
    expect(new Set(digits.labels.subarray(0, 100)).size).toBe(10);
  });

  it("come in batches that go through all of them, each moved by up to a pixel", () => {
    const few = slice(digits, 0, 50);
    const batch = { data: new Float32Array(10 * PIXELS), shape: [10, PIXELS] };
    const labels = new Uint8Array(10);
    const next = batches(few, batch, labels, randomNumbers(5));
    const seen = new Set<number>();
    for (let i = 0; i < 5; i++) {
      next.next();
      for (let row = 0; row < 10; row++) {
        const found = findMoved(few.pixels, batch.data.subarray(row * PIXELS, (row + 1) * PIXELS));
        expect(few.labels[found]).toBe(labels[row]);
        seen.add(found);
      }
    }
    expect(seen.size).toBe(50);
  });
});

/** The digit that was moved to give this picture. */
function findMoved(pixels: Float32Array, picture: Float32Array): number {
  for (let digit = 0; digit < pixels.length / PIXELS; digit++) {
    for (const by of [-29, -28, -27, -1, 0, 1, 27, 28, 29]) {
      const matches = picture.every((value, p) => {
        const from = p - by;
        return value === (from >= 0 && from < PIXELS ? pixels[digit * PIXELS + from] : 0);
      });
      if (matches) return digit;
    }
  }
  return -1;
}

describe("training", () => {
  it.each([true, false])("lowers the loss (batch norm: %s)", (batchNorm) => {
    const evaluations = shortTraining({
      batchNorm,
      ...(batchNorm ? {} : { sizes: [PIXELS, 20, 10], learningRate: 1 }),
    });
    const losses = evaluations.slice(1).map(({ loss }) => loss as number);
    expect(losses).toHaveLength(4);
    expect(losses[3]).toBeLessThan(losses[0] / 2);
    expect(evaluations[4].accuracy).toBeGreaterThan(0.6);
  });

  it("gives the same numbers for the same seed, and others for another", () => {
    const first = shortTraining({ steps: 60 });
    expect(first.map(({ step }) => step)).toEqual([0, 50, 60]);
    expect(shortTraining({ steps: 60 })).toEqual(first);
    expect(shortTraining({ steps: 60, seed: 4 })).not.toEqual(first);
  });
});

it("standardizes as the plain loop does", () => {
  const { ways, difference } = compareStandardization(Float32Array.from(values(300 * 20, 1, 0.5)), 20);
  expect(ways).toHaveLength(3);
  // Both round an f64 result to f32 once or twice: a few units of 2⁻²⁴.
  expect(difference).toBeLessThan(4 * 2 ** -23);
});

it("writes a report that stands alone", () => {
  const evaluations = shortTraining({ steps: 20, evaluateEvery: 10 });
  const plan = { steps: 20, seed: 3, learningRate: 0.3, training: 400, heldOut: 200 };
  const ways = [{ name: "a way", fit: 1, transform: 2 }];
  const page = reportPage({ withNorm: evaluations, without: evaluations, plan, standardization: { ways } });
  expect(page).toContain("uPlot");
  expect(page).not.toMatch(/<(script|link|img)[^>]+(src|href)=/);
  expect(page.match(/<script>/g)).toHaveLength(2);
});
