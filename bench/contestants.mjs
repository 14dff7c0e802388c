/**
 * Prepares a case: our call, the limits and the peers, whose results are compared with ours before anything is timed.
 */
import { tensor } from "../dist/index.js";
import { elements } from "./data.mjs";
import { secondsSince } from "./measure.mjs";
import { contestantsOf } from "./peers/index.mjs";
import { limitsOf } from "./peers/limits.mjs";

/** Results may differ by this, relative to the largest value: f32 sums of the peers are far less exact than ours. */
const TOLERANCE = 1e-3;

/** Copies of our results, by name. */
function heapCopies(results) {
  const arrays = Object.entries(results).filter(([, value]) => value?.data);
  return Object.fromEntries(arrays.map(([key, { data }]) => [key, data.slice()]));
}

/** Our call, on inputs that are where the case wants them. */
function ownContestant(benchCase, inputs) {
  const { outShape: shape, reuses } = benchCase;
  if (benchCase.where === "heap") {
    const out = reuses ? { data: new Float32Array(elements(shape)), shape } : undefined;
    const call = benchCase.ours(inputs);
    const run = () => call(out);
    return { run, result: () => heapCopies(run()), close: () => {} };
  }
  const entries = Object.entries(inputs);
  const place = (given) => (given.data instanceof Float32Array ? tensor(given.shape, { data: given.data }) : given);
  const placed = Object.fromEntries(entries.map(([key, given]) => [key, place(given)]));
  const out = tensor(shape);
  const call = benchCase.ours(placed);
  const run = () => call(out);
  const close = () => {
    for (const made of [out, ...Object.values(placed)]) made.dispose?.();
  };
  return { run, result: () => heapCopies(run()), close };
}

/**
 * Why results are not ours, or undefined. They must share at least one name: not every peer gives every result. Where
 * results are drawn at random, `check` says what of them can be compared.
 */
function difference(ourResults, theirResults, benchCase) {
  const { check = (results) => results } = benchCase;
  const [ours, theirs] = [ourResults, theirResults].map((results) => check(results, benchCase));
  const shared = Object.keys(theirs).filter((key) => key in ours);
  if (shared.length === 0) return "gives none of our results";
  for (const key of shared) {
    const [a, b] = [ours[key], theirs[key]];
    if (a.length !== b.length) return `${key} has ${b.length} elements where ours has ${a.length}`;
    let largest = 1;
    let worst = 0;
    for (let i = 0; i < a.length; i++) {
      largest = Math.max(largest, Math.abs(a[i]));
      const apart = Math.abs(a[i] - b[i]);
      if (Number.isNaN(apart)) return `its ${key} or ours has NaN`;
      worst = Math.max(worst, apart);
    }
    if (worst > TOLERANCE * largest) return `its ${key} differs from ours by ${worst.toPrecision(2)}`;
  }
  return undefined;
}

/**
 * Contestants of a case: `ours`, and `others` in the order of the table (ours again unless that is not asked for, the
 * limits, the peers that agree with us); `lacking` names peers without the operation, `failed` says why others are left
 * out.
 */
export async function prepareCase(benchCase, peers, { again = true } = {}) {
  const inputs = benchCase.inputs();
  // What a call writes over is its own: the peers start from the same numbers.
  const own = ownContestant(benchCase, benchCase.options.inPlace ? structuredClone(inputs) : inputs);
  const ours = { name: "evenkeel", ...own };
  const expected = own.result();
  const { contestants, lacking, failed } = await contestantsOf({ ...benchCase, inputs }, peers);
  const agreeing = [];
  for (const contestant of contestants) {
    let problem;
    try {
      const start = performance.now();
      const results = await contestant.result();
      contestant.firstCall = secondsSince(start);
      problem = difference(expected, results, benchCase);
    } catch (error) {
      problem = error.message;
    }
    if (problem) failed.push(`${contestant.name}: ${problem}`);
    else agreeing.push(contestant);
  }
  const reference = { name: "evenkeel again", run: own.run, isReference: true };
  const others = [...(again ? [reference] : []), ...(await limitsOf(benchCase)), ...agreeing];
  const close = async () => {
    for (const contestant of [ours, ...contestants]) await contestant.close?.();
  };
  return { ours, others, lacking, failed, close };
}
