/**
 * The bench: npm run bench -- [--filter text] [--quick] [--json] [--sweep]
 *
 *   --filter  only cases whose title has this text, as in "layer norm [64,768] f32, heap"
 *   --quick   a fraction of the time for each pair, without the slow cases
 *   --json    one object a case on standard output, everything else on standard error
 *   --sweep   also the size sweeps of cases.mjs, for the curves of the report
 *
 * Writes report/bench.html.
 */
import "./engine.mjs";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { cases, sweeps } from "./cases.mjs";
import { prepareCase } from "./contestants.mjs";
import { caseTable, overview, titleOf, toJson } from "./format.mjs";
import { calibrate, measurePairs } from "./measure.mjs";
import { openPeers } from "./peers/index.mjs";
import { writeReport } from "./report.mjs";

const { values: options } = parseArgs({
  options: {
    filter: { type: "string", default: "" },
    quick: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    sweep: { type: "boolean", default: false },
  },
});

/**
 * Seconds for each pair and for warming up each contestant; cycles of Benchmark.js at the least; and seconds of a call
 * from which on one round must do.
 */
const FULL = { seconds: 0.15, minCycles: 3, warmUp: 0.03, patience: 0.15 };
const QUICK = { seconds: 0.03, minCycles: 3, warmUp: 0.005, patience: 0.1 };

const say = options.json ? console.error : console.log;

async function measureCase(benchCase, peers, effort) {
  const { ours, others, lacking, failed, close } = await prepareCase(benchCase, peers);
  for (const contestant of [ours, ...others]) await calibrate(contestant, effort);
  const measured = await measurePairs(titleOf(benchCase), ours, others, effort);
  await close();
  const pairs = measured.filter(({ error }) => !error);
  failed.push(...measured.filter(({ error }) => error).map(({ name, error }) => `${name}: ${error.message}`));
  // Our time is the one against ourselves, where no peer has been in the caches; the first pair.
  return { benchCase, ours: pairs[0].ours, pairs, lacking, failed };
}

const selected = cases.filter((c) => titleOf(c).includes(options.filter) && !(options.quick && c.slow));
const effort = options.quick ? QUICK : FULL;
const machine = `Node ${process.version}, ${process.platform} ${process.arch}, ${cpus()[0].model.trim()}, one thread`;
say(`${machine}. Times are medians; ratios are medians of paired rounds, with their quartiles.\n`);

const { peers, close } = await openPeers(say);
const results = [];
for (const benchCase of selected) {
  const result = await measureCase(benchCase, peers, effort);
  results.push(result);
  say(caseTable(result));
  if (options.json) console.log(JSON.stringify(toJson(result)));
}
if (selected.length === 0)
  say(`No case has "${options.filter}" in its title${options.quick ? " in a quick run" : ""}.`);
if (results.length > 1) say(`${overview(results)}\n`);

const curves = [];
for (const { name, where, cases: sizes } of options.sweep ? sweeps : []) {
  const points = [];
  for (const benchCase of sizes) {
    say(`sweep: ${titleOf(benchCase)}`);
    points.push(await measureCase(benchCase, peers, QUICK));
  }
  curves.push({ name, where, points });
}
close();
say(`Report: ${writeReport({ machine, results, curves })}`);
