/**
 * What threads gain: npm run bench:threads -- [--threads n] [--filter text] [--json]
 *
 * Each case is timed with a pool of n threads beside the package on one thread (and beside a pool of one, and itself), in
 * paired rounds. Default: as many threads as there are processors.
 */
import "./engine.mjs";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import * as evenkeel from "../dist/index.js";
import { createPool } from "../dist/threads.js";
import { random } from "./data.mjs";
import { digits } from "./format.mjs";
import { calibrate, measurePairs } from "./measure.mjs";

const { values: options } = parseArgs({
  options: {
    threads: { type: "string", default: String(cpus().length) },
    filter: { type: "string", default: "" },
    json: { type: "boolean", default: false },
  },
});

const EFFORT = { seconds: 1.5, minCycles: 5, warmUp: 0.05, patience: 5 };

/** [name, shape, inputs beside x, call, where]. A call gets the functions, the inputs and a place for the result. */
const cases = [];
const add = (name, shape, where, call, wide = false) => cases.push({ name, shape, where, call, wide });
const affine = (shape, layout) => {
  const channels = layout === "channels-last" ? shape.at(-1) : shape[1];
  const ones = new Float32Array(channels).fill(1);
  return { weight: ones, bias: ones, layout };
};
for (const where of ["tensor", "heap"]) {
  add("matmul", [1024, 1024], where, (k, [x, y], out) => k.matmul(x, y, { out }));
  add("matmul f64", [1024, 1024], where, (k, [x, y], out) => k.matmul(x, y, { out }), true);
  add("matmul", [256, 256], where, (k, [x, y], out) => k.matmul(x, y, { out }));
  add("whitening fit", [20000, 512], where, (k, [x]) => k.fit(new evenkeel.Whitening(), x));
  for (const [shape, layout] of [
    [[32, 256, 56, 56], "channels-first"],
    [[32, 56, 56, 256], "channels-last"],
    [[8, 64, 56, 56], "channels-first"],
  ]) {
    const given = affine(shape, layout);
    add(`batch norm ${layout}`, shape, where, (k, [x], out) => k.batchNorm(x, { ...given, out }));
    const numGroups = 32;
    add(`group norm ${layout}`, shape, where, (k, [x], out) => k.groupNorm(x, { ...given, numGroups, out }));
    add(`batch norm backward ${layout}`, shape, where, (k, [x, dy], out) =>
      k.batchNormBackward(dy, savedOf(x, given), { out }),
    );
  }
  add("layer norm", [4096, 1024], where, (k, [x], out) => k.layerNorm(x, { normalizedShape: 1024, out }));
}

/** What the forward pass of batch norm keeps, made once for each input. */
const kept = new WeakMap();
function savedOf(x, given) {
  if (!kept.has(x)) {
    const { saved } = evenkeel.batchNormForward({ data: x.data.slice(), shape: x.shape }, given);
    kept.set(x, { ...saved, x });
  }
  return kept.get(x);
}

/** The package as the calls want it, on this thread. */
const alone = { ...evenkeel, fit: (scaler, x) => scaler.fit(x) };

function contestant(name, functions, { shape, where, call, wide }) {
  const arrays = [1, 2].map((seed) => {
    const { data } = random(shape, { seed });
    return { data: wide ? Float64Array.from(data) : data, shape };
  });
  if (where === "heap") return { name, run: () => call(functions, arrays), close() {} };
  const inputs = arrays.map(({ data }) => functions.tensor(shape, { data }));
  const out = functions.tensor(shape, { dtype: inputs[0].dtype });
  return {
    name,
    run: () => call(functions, inputs, out),
    close: () => [...inputs, out].forEach((tensor) => void tensor.dispose()),
  };
}

const threads = Number(options.threads);
const pool = await createPool({ threads });
const single = await createPool({ threads: 1 });
console.log(`Node ${process.version}, ${cpus()[0].model.trim()}: ${threads} threads. Ratios with their quartiles.\n`);
for (const one of cases) {
  const title = `${one.name} [${one.shape.join(",")}] ${one.where}`;
  if (!title.includes(options.filter)) continue;
  const ours = contestant(`${threads} threads`, pool, one);
  const others = [
    contestant("one thread", alone, one),
    contestant("pool of one", single, one),
    { ...contestant("again", pool, one), isReference: true },
  ];
  for (const each of [ours, ...others]) await calibrate(each, EFFORT);
  const pairs = await measurePairs(title, ours, others, EFFORT);
  for (const { close } of [ours, ...others]) close();
  if (options.json) console.log(JSON.stringify({ title, threads, pairs }));
  const line = pairs.map(({ name, peer, ratio, error }) =>
    error
      ? `${name}: ${error.message}`
      : `${name} ${digits(peer * 1e3)} ms, ${digits(ratio.median)}x (${digits(ratio.low)}-${digits(ratio.high)})`,
  );
  console.log(`${title}: ${digits(pairs[0].ours * 1e3)} ms; ${line.join("; ")}`);
}
await pool.close();
await single.close();
