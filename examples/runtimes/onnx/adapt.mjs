/**
 * Recalibrates the batch norms of a model for pictures of another kind, without labels or training: `npm run adapt`
 *
 * The pictures are the crops of `npm run onnx` from a scan that left them almost no contrast. Layer by layer, in the order of
 * the network, the graph is cut at the input of a batch norm and run on a few crops; `adaptBatchNorm` moves the statistics
 * towards those of what came out, and the model goes on with them. The other crops tell what came of it.
 *
 * Mode "ema" keeps most of the old statistics (three batches at momentum 0.1: 73 %). "population" would replace them, which
 * is for samples as varied as those of training: from a few crops of one kind it forgets more than it learns.
 */
import { adaptBatchNorm, BatchNorm } from "evenkeel";
import { faded, makeCrops } from "./crops.mjs";
import {
  accuracy,
  batchNorms,
  PROBABILITIES,
  readBatchNorm,
  readModel,
  run,
  startModel,
  toBatch,
  writeConstant,
  writeModel,
} from "./model.mjs";

const SCAN = { contrast: 0.02, brightness: 200 };
const BATCH = 16;
const MOMENTUM = 0.1;

/** Runs a model once on each batch and gives what it computed under this name. */
async function compute(model, name, batches) {
  const session = await startModel(writeModel(model, [name]));
  const results = [];
  for (const batch of batches) results.push((await run(session, batch))[name]);
  await session.release();
  return results;
}

/** Crops as batches of a size that fits anywhere. */
function batchesOf(crops) {
  const starts = Array.from({ length: Math.ceil(crops.length / BATCH) }, (_, i) => i * BATCH);
  return starts.map((from) => toBatch(crops.slice(from, from + BATCH)));
}

async function adaptModel(model, batches) {
  const { graph } = model;
  for (const norm of batchNorms(graph)) {
    const { eps, weight, bias, runningMean, runningVar } = readBatchNorm(graph, norm);
    const layer = new BatchNorm(weight.length, { eps, momentum: MOMENTUM, unbiasedRunningVar: false });
    layer.loadStateDict({ weight, bias, running_mean: runningMean, running_var: runningVar });
    adaptBatchNorm(layer, await compute(model, norm.input, batches), { mode: "ema" });
    writeConstant(graph, norm.mean, layer.runningMean);
    writeConstant(graph, norm.variance, layer.runningVar);
  }
}

async function measure(name, model, crops) {
  const outputs = await compute(model, PROBABILITIES, batchesOf(crops));
  const probabilities = Float32Array.from(outputs.flatMap(({ data }) => [...data]));
  const share = accuracy(probabilities, crops);
  console.log(`${name.padEnd(34)}${(100 * share).toFixed(1).padStart(6)} %`);
}

// A text, in all its styles, upright and turned, is either adapted to or held out.
const crops = makeCrops();
const texts = [...new Set(crops.map(({ text }) => text))];
const scanned = crops.map((crop) => ({ ...crop, image: faded(crop.image, SCAN) }));
const forAdapting = ({ text }) => texts.indexOf(text) % 8 === 0;
const unlabelled = scanned.filter(forAdapting);
const heldOut = (list) => list.filter((crop) => !forAdapting(crop));

const model = readModel();
console.log(`${heldOut(crops).length} crops, classified as they were drawn\n`);
await measure("as drawn", model, heldOut(crops));
await measure("scanned", model, heldOut(scanned));
const start = performance.now();
await adaptModel(model, batchesOf(unlabelled));
const seconds = ((performance.now() - start) / 1000).toFixed(1);
await measure("scanned, batch norms adapted", model, heldOut(scanned));
console.log(
  `\n${batchNorms(model.graph).length} batch norms adapted on ${unlabelled.length} other crops in ${seconds} s`,
);
