/** ml-matrix: rows of f64 arrays in plain JavaScript. */
import { EigenvalueDecomposition, Matrix } from "ml-matrix";
import { EPS } from "../operations.mjs";

export const name = "ml-matrix";

function layerNorm({ x, weight, bias }) {
  const y = x.clone();
  y.subColumnVector(y.mean("row"));
  const deviation = Matrix.pow(y, 2)
    .mean("row")
    .map((variance) => Math.sqrt(variance + EPS));
  return y.divColumnVector(deviation).mulRowVector(weight).addRowVector(bias);
}

/** Training statistics of dense batches. */
function batchNorm({ x, weight, bias }, { shape }) {
  if (shape.length !== 2) throw new Error("has matrices only");
  const y = x.clone();
  y.subRowVector(y.mean("column"));
  const deviation = Matrix.pow(y, 2)
    .mean("column")
    .map((variance) => Math.sqrt(variance + EPS));
  return y.divRowVector(deviation).mulRowVector(weight).addRowVector(bias);
}

/** Its own centering and scaling, with the biased deviation. */
function standardScaler({ x }) {
  const y = x.clone().center("column");
  return y.scale("column", { scale: y.standardDeviation("column", { unbiased: false }) });
}

function matmul({ a, b }, { shape, options: { transposeA, transposeB } }) {
  if (shape[0] > 512) throw new Error("takes seconds for a product of this size");
  return (transposeA ? a.transpose() : a).mmul(transposeB ? b.transpose() : b);
}

const eigh = ({ x }) => new EigenvalueDecomposition(x, { assumeSymmetric: true }).realEigenvalues;

export const operations = { layerNorm, batchNorm, standardScaler, matmul, eigh };

const upload = ({ data, shape }) => (shape.length === 1 ? [...data] : Matrix.from1DArray(...shape, data));

export function contestant(formula, problem) {
  if (problem.shape.length !== 2) throw new Error("has matrices only");
  const entries = Object.entries(problem.inputs);
  const kept = Object.fromEntries(entries.map(([key, value]) => [key, upload(value)]));
  const result = () => {
    const dataKeys = problem.where === "heap" ? ["x", "a", "b"].filter((key) => key in kept) : [];
    const fresh = Object.fromEntries(dataKeys.map((key) => [key, upload(problem.inputs[key])]));
    const found = formula({ ...kept, ...fresh }, problem);
    return Array.isArray(found) ? { values: Float64Array.from(found) } : { y: Float32Array.from(found.to1DArray()) };
  };
  return { run: problem.where === "heap" ? result : () => formula(kept, problem), result };
}
