/** Trains one network and follows it: accuracy on held-out digits, and what arrives at one sigmoid. */
import { tensor } from "evenkeel";
import { batches, CLASSES, PIXELS, randomNumbers, slice } from "./data.mjs";
import { Network, Sigmoid, softmaxCrossEntropy } from "./network.mjs";

export const SIZES = [PIXELS, 100, 100, 100, CLASSES];
export const BATCH = 60;
/** The training digits that give the population statistics before an evaluation. */
const POPULATION = 2000;
/** The unit of the last hidden layer whose input is followed, and the percentiles of that input. */
const UNIT = 0;
const PERCENTILES = [15, 50, 85];

/**
 * Trains on `training` for so many steps. After every `evaluateEvery` steps, and before the first, `onEvaluation` gets
 * `{ step, loss, accuracy, percentiles }`: the mean training loss since the last one, then what `heldOut` gave. The
 * same arguments give the same numbers.
 */
export function train({
  training,
  heldOut,
  batchNorm,
  steps,
  seed,
  learningRate,
  evaluateEvery,
  sizes = SIZES,
  batchSize = BATCH,
  onEvaluation = () => {},
}) {
  // Weights and batches draw from generators of their own: both networks start alike and see the same digits.
  const network = new Network(sizes, { random: randomNumbers(seed), batchNorm });
  const batch = tensor([batchSize, PIXELS]);
  const labels = new Uint8Array(batchSize);
  const gradient = tensor([batchSize, CLASSES]);
  const nextBatch = batches(training, batch, labels, randomNumbers(seed + 1));
  const { pixels: population, count } = slice(training, 0, Math.min(POPULATION, training.count));
  const populationTensor = tensor([count, PIXELS], { data: population });
  const heldOutTensor = tensor([heldOut.count, PIXELS], { data: heldOut.pixels });

  let lossSum = 0;
  let lossCount = 0;
  const evaluate = (step) => {
    network.evaluateWith(populationTensor);
    const logits = network.forward(heldOutTensor);
    network.train();
    onEvaluation({
      step,
      loss: lossCount > 0 ? lossSum / lossCount : null,
      accuracy: accuracyOf(logits, heldOut.labels),
      percentiles: inputPercentiles(network),
    });
    lossSum = 0;
    lossCount = 0;
  };

  evaluate(0);
  for (let step = 1; step <= steps; step++) {
    nextBatch.next();
    lossSum += softmaxCrossEntropy(network.forward(batch), labels, gradient);
    lossCount++;
    network.backward(gradient);
    network.step(learningRate);
    if (step % evaluateEvery === 0 || step === steps) evaluate(step);
  }
  return network;
}

/** The share of rows whose largest logit is that of the label. */
function accuracyOf(logits, labels) {
  const [rows, classes] = logits.shape;
  const { data } = logits;
  let right = 0;
  for (let row = 0; row < rows; row++) {
    let best = 0;
    for (let i = 1; i < classes; i++) if (data[row * classes + i] > data[row * classes + best]) best = i;
    if (best === labels[row]) right++;
  }
  return right / rows;
}

/** Percentiles of the input to one sigmoid of the last hidden layer in the last forward pass. */
function inputPercentiles(network) {
  const { input } = network.layers.findLast((layer) => layer instanceof Sigmoid);
  const [rows, units] = input.shape;
  const { data } = input;
  const values = Float32Array.from({ length: rows }, (_, row) => data[row * units + UNIT]).sort();
  return PERCENTILES.map((percentile) => values[Math.round((percentile / 100) * (rows - 1))]);
}
