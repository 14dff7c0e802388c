/**
 * Which way up is a line of text? `npm run onnx`
 *
 * Pixels → imageToTensor → ONNX Runtime → the class, and the features behind it brought to unit length, whose products
 * are the cosines between crops.
 */
import { matmul, normalize } from "evenkeel";
import { makeCrops } from "./crops.mjs";
import { accuracy, FEATURES, PROBABILITIES, readModel, run, startModel, toBatch, writeModel } from "./model.mjs";

const SHOWN = 8;

const crops = makeCrops();
const session = await startModel(writeModel(readModel(), [PROBABILITIES, FEATURES]));
const outputs = await run(session, toBatch(crops));
const probabilities = outputs[PROBABILITIES].data;

console.log("                                    upright  turned");
for (let i = 0; i < 2 * SHOWN; i++) {
  const { text, style, label } = crops[i];
  const [upright, turned] = probabilities.subarray(2 * i, 2 * i + 2);
  const name = `${text}, ${style}${label ? ", turned" : ""}`;
  console.log(name.padEnd(34) + upright.toFixed(4).padStart(9) + turned.toFixed(4).padStart(8));
}
console.log(
  `\n${crops.length} crops, ${(100 * accuracy(probabilities, crops)).toFixed(1)} % classified as they were drawn`,
);

const [n, width] = outputs[FEATURES].dims;
const unit = normalize(outputs[FEATURES]);
const cosines = matmul(unit, unit, { transposeB: true }).data;
const sums = { same: 0, sameCount: 0, other: 0, otherCount: 0 };
for (let i = 0; i < n; i++) {
  for (let j = 0; j < i; j++) {
    const kind = crops[i].label === crops[j].label ? "same" : "other";
    sums[kind] += cosines[i * n + j];
    sums[`${kind}Count`]++;
  }
}
console.log(
  `mean cosine of their ${width} features: ${(sums.same / sums.sameCount).toFixed(3)} between crops of one orientation, ` +
    `${(sums.other / sums.otherCount).toFixed(3)} between the two`,
);
await session.release();
