/** The loops that people write when they have no library: one value after the other, sums in f64. */
import { elements } from "../data.mjs";
import { layers } from "./plain/layers.mjs";
import { mixtures } from "./plain/mixtures.mjs";
import { preprocessing } from "./plain/preprocessing.mjs";
import { products } from "./plain/products.mjs";
import { recurrent } from "./plain/recurrent.mjs";
import { weights } from "./plain/weights.mjs";
import { whitened } from "./plain/whitened.mjs";

export const name = "plain loop";

export const operations = {
  ...layers,
  ...mixtures,
  ...whitened,
  ...products,
  ...recurrent,
  ...weights,
  ...preprocessing,
};

/** Into x where the case is in place, into an array that is there where ours has `out`, else into a fresh one. */
export function contestant(loop, problem) {
  const { inPlace } = problem.options;
  const entries = Object.entries(problem.inputs);
  const data = Object.fromEntries(entries.map(([key, { data }]) => [key, inPlace ? data.slice() : data]));
  const length = elements(problem.outShape);
  const kept = inPlace ? data.x : problem.reuses ? new Float32Array(length) : undefined;
  const run = () => loop(data, kept ?? new Float32Array(length), problem);
  return { run, result: run };
}
