/**
 * Folds the batch norms of a model into the convolutions before them: `npm run fold`
 *
 * The convolution gets the folded weight and, as its bias, what was the bias of the batch norm, whose node goes. ONNX
 * Runtime's own optimizer does the same each time it loads a model; a folded file is for what has no optimizer, and is
 * loaded here without it, too.
 */
import { foldBatchNorm } from "evenkeel";
import { makeCrops } from "./crops.mjs";
import {
  batchNorms,
  FEATURES,
  PROBABILITIES,
  readBatchNorm,
  readConstant,
  readModel,
  run,
  startModel,
  toBatch,
  writeConstant,
  writeModel,
} from "./model.mjs";

const ROUNDS = 9;
const OUTPUTS = [PROBABILITIES, FEATURES];

/** Folds every batch norm; returns how many. */
function foldAll(graph) {
  const norms = batchNorms(graph);
  for (const norm of norms) {
    const { convolution } = norm;
    const kernel = convolution.input[1];
    const map = { weight: readConstant(graph, kernel) };
    const { weight, bias } = foldBatchNorm(map, readBatchNorm(graph, norm));
    writeConstant(graph, kernel, weight.data);
    writeConstant(graph, norm.bias, bias.data);
    convolution.input.push(norm.bias);
    convolution.output = norm.node.output;
  }
  const unused = new Set(norms.flatMap((norm) => [norm.weight, norm.mean, norm.variance]));
  graph.node = graph.node.filter(
    ({ opType, output }) => opType !== "BatchNormalization" && !(opType === "Constant" && unused.has(output[0])),
  );
  return norms.length;
}

/** The median time of a run of each session, taken in turns so that both meet the same machine. */
async function times(sessions, batch) {
  const taken = sessions.map(() => []);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [i, session] of sessions.entries()) {
      const start = performance.now();
      await run(session, batch);
      taken[i].push(performance.now() - start);
    }
  }
  return taken.map((list) => list.sort((a, b) => a - b)[ROUNDS >> 1]);
}

const milliseconds = (value) => `${value.toFixed(1)} ms`.padStart(11);

const model = readModel();
const original = writeModel(model, OUTPUTS);
const start = performance.now();
const folded = foldAll(model.graph);
console.log(`${folded} batch norms folded in ${(performance.now() - start).toFixed(0)} ms\n`);
const bytes = writeModel(model, OUTPUTS);

const batch = toBatch(makeCrops().slice(0, 16));
console.log(`${batch.shape[0]} crops                    original     folded`);
console.log(`bytes of the model       ${String(original.length).padStart(8)} ${String(bytes.length).padStart(10)}`);
const largest = Object.fromEntries(OUTPUTS.map((name) => [name, 0]));
for (const [name, level] of [
  ["with the optimizer", "all"],
  ["without it", "disabled"],
]) {
  const options = { graphOptimizationLevel: level };
  const sessions = [await startModel(original, options), await startModel(bytes, options)];
  const [before, after] = [await run(sessions[0], batch), await run(sessions[1], batch)];
  for (const output of OUTPUTS) {
    before[output].data.forEach((value, i) => {
      largest[output] = Math.max(largest[output], Math.abs(value - after[output].data[i]));
    });
  }
  console.log(`a run ${name.padEnd(19)}${(await times(sessions, batch)).map(milliseconds).join("")}`);
  for (const session of sessions) await session.release();
}
console.log(`\nlargest difference of a probability: ${largest[PROBABILITIES].toExponential(1)}`);
console.log(`largest difference of a feature: ${largest[FEATURES].toExponential(1)}`);
