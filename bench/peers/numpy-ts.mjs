/** numpy-ts. Its arrays live in a wasm heap of fixed size, so that every intermediate is disposed of by hand. */
import * as np from "numpy-ts";
import { EPS } from "../operations.mjs";

export const name = "numpy-ts";

/** Runs `compute(keep)`, where keep(array) returns the array and has it disposed of at the end. */
function scoped(compute) {
  const made = [];
  const result = compute((array) => {
    made.push(array);
    return array;
  });
  for (const array of made) array.dispose();
  return result;
}

const layerNorm = ({ x, weight, bias }) =>
  scoped((keep) => {
    const centered = keep(x.subtract(keep(x.mean(-1, true))));
    const variance = keep(keep(centered.multiply(centered)).mean(-1, true));
    const deviation = keep(keep(variance.add(EPS)).sqrt());
    return keep(keep(centered.divide(deviation)).multiply(weight)).add(bias);
  });

const rmsNorm = ({ x, weight }) =>
  scoped((keep) => {
    const meanSquare = keep(keep(x.multiply(x)).mean(-1, true));
    return keep(x.divide(keep(keep(meanSquare.add(EPS)).sqrt()))).multiply(weight);
  });

/** A transposed view is multiplied by slow loops, a transposed copy by the kernel. */
const matmul = ({ a, b }, { options: { transposeA, transposeB } }) =>
  scoped((keep) => {
    const turned = (matrix) => keep(np.ascontiguousarray(keep(matrix.transpose())));
    return np.matmul(transposeA ? turned(a) : a, transposeB ? turned(b) : b);
  });

/** Mean and deviation of each column; the deviation is what is compared. */
const standardScalerFit = ({ x }) =>
  scoped((keep) => {
    keep(x.mean(0));
    return x.std(0);
  });

export const operations = { layerNorm, rmsNorm, standardScalerFit, matmul };

const upload = ({ data, shape }) => np.array(data).reshape(...shape);

export function contestant(formula, problem) {
  const entries = Object.entries(problem.inputs);
  const kept = Object.fromEntries(entries.map(([key, value]) => [key, upload(value)]));
  const result = () => {
    const dataKeys = problem.where === "heap" ? ["x", "a", "b"].filter((key) => key in kept) : [];
    const fresh = Object.fromEntries(dataKeys.map((key) => [key, upload(problem.inputs[key])]));
    const array = formula({ ...kept, ...fresh }, problem);
    const y = Float32Array.from(array.data);
    for (const made of [array, ...Object.values(fresh)]) made.dispose();
    return problem.operation === "standardScalerFit" ? { scale: y } : { y };
  };
  const stay = () => formula(kept, problem).dispose();
  const close = () => {
    for (const array of Object.values(kept)) array.dispose();
  };
  return { run: problem.where === "heap" ? result : stay, result, close };
}

/** Its heap cannot grow later. */
export function open() {
  np.configureWasm({ maxMemory: 2 ** 31 });
}
