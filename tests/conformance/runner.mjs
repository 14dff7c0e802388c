/** Runs reference cases through the public API and compares what comes out. */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { activations } from "./ops/activations.mjs";
import { batches } from "./ops/batches.mjs";
import { images } from "./ops/images.mjs";
import { scalers } from "./ops/scalers.mjs";
import { schedules } from "./ops/schedules.mjs";
import { units } from "./ops/units.mjs";
import { weights } from "./ops/weights.mjs";

const arrays = { float32: Float32Array, float64: Float64Array, uint8: Uint8Array };
const words = { NaN: Number.NaN, Infinity: Number.POSITIVE_INFINITY, "-Infinity": Number.NEGATIVE_INFINITY };

/** A tensor of a case as the API takes it; its data may not fit its shape, which is for the API to notice. */
function decode({ dtype, shape, data }) {
  const values = data.map((value) => (typeof value === "string" ? words[value] : value));
  return { data: arrays[dtype].from(values), shape };
}

/** Every case of every JSON file of a folder, in the order of their names. */
export function readCases(folder) {
  const cases = [];
  for (const file of readdirSync(folder).sort()) {
    if (!file.endsWith(".json")) continue;
    const content = JSON.parse(readFileSync(path.join(folder, file), "utf8"));
    for (const found of Array.isArray(content) ? content : (content.cases ?? [content])) cases.push({ file, ...found });
  }
  return cases;
}

/** The largest differences of two lists, and the first place where they differ by more than the tolerance. */
function compare(got, want, { atol = 0, rtol = 0 } = {}) {
  let maxAbs = 0;
  let maxRel = 0;
  let at = -1;
  for (let i = 0; i < want.length; i++) {
    const same = Object.is(got[i], want[i]) || got[i] === want[i] || (Number.isNaN(got[i]) && Number.isNaN(want[i]));
    const difference = same ? 0 : Math.abs(got[i] - want[i]);
    const close = same || (Number.isFinite(want[i]) && difference <= atol + rtol * Math.abs(want[i]));
    if (difference > maxAbs) maxAbs = difference;
    if (difference > 0 && want[i] !== 0) maxRel = Math.max(maxRel, difference / Math.abs(want[i]));
    if (!close && at < 0) at = i;
  }
  return { maxAbs, maxRel, at };
}

/** One result for each output of a case, or one for the whole case where it throws. */
export function runCase(api, testCase) {
  const { file, op, name, attrs = {}, inputs = {}, outputs, tolerance } = testCase;
  const result = { file, op, name, ok: true, output: null, maxAbs: null, maxRel: null, message: "" };
  const operation = { ...schedules, ...units, ...activations, ...batches, ...weights, ...scalers, ...images }[op];
  if (operation === undefined) return [{ ...result, ok: false, unsupported: true, message: `unknown op ${op}` }];
  let got;
  try {
    const tensors = Object.fromEntries(Object.entries(inputs).map(([key, value]) => [key, decode(value)]));
    got = operation(api, tensors, attrs, testCase);
  } catch (error) {
    // Ours say "method: argument ..."; what the engine throws at a bad access is no check of the input.
    const named = error instanceof Error && /^[\w.]+: \w/.test(error.message);
    if (outputs.error) return [{ ...result, ok: named, output: "error", message: error.message }];
    return [{ ...result, ok: false, message: `threw ${error?.stack ?? error}` }];
  }
  if (outputs.error) return [{ ...result, ok: false, output: "error", message: "returned where it must throw" }];
  return Object.entries(outputs).map(([key, expected]) => {
    const want = decode({ ...expected, dtype: "float64" });
    const have = got[key];
    if (have === undefined || have === null) {
      return { ...result, ok: false, output: key, message: `there is no output ${key}` };
    }
    const value = typeof have === "number" ? { data: [have], shape: [] } : have;
    const shape = value.shape ?? [value.length];
    const data = value.data ?? value;
    if (shape.join() !== want.shape.join() || data.length !== want.data.length) {
      return { ...result, ok: false, output: key, message: `shape [${shape}] where [${want.shape}] is expected` };
    }
    const { maxAbs, maxRel, at } = compare(data, want.data, tolerance);
    const message = at < 0 ? "" : `element ${at}: got ${data[at]}, expected ${want.data[at]}`;
    return { ...result, ok: at < 0, output: key, maxAbs, maxRel, message };
  });
}
