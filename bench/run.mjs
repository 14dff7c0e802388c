/** The bench, see USAGE. Writes report/bench.html. */
import "./engine.mjs";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { cases, sweeps } from "./cases.mjs";
import { prepareCase } from "./contestants.mjs";
import { elements } from "./data.mjs";
import { caseTable, curveLine, overview, sweepTables, titleOf, toJson } from "./format.mjs";
import { calibrate, measurePairs } from "./measure.mjs";
import { openLoops, openPeers } from "./peers/index.mjs";
import { writeReport } from "./report.mjs";

const USAGE = `npm run bench -- [options]

  --filter text  only what has this text in its title, as in "layer norm [64,768] f32, heap"; given several times, any
                 of the texts
  --quick        a fraction of the time for each pair, without the slow cases
  --sweep        in place of the cases, each row-wise and channel-wise method beside the plain loop from 64 to 16 M
                 elements: curves for the report, and a list of the sizes at which it falls short
  --json         one object a case (or a point of a sweep) on standard output, everything else on standard error
  --help         prints this`;

function readOptions() {
  const options = {
    filter: { type: "string", multiple: true, default: [""] },
    quick: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    sweep: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  };
  try {
    return parseArgs({ options }).values;
  } catch (error) {
    console.error(`bench: ${error.message}\n\n${USAGE}`);
    process.exit(1);
  }
}

const options = readOptions();
if (options.help) {
  console.log(USAGE);
  process.exit(0);
}

/**
 * Seconds for each pair and for warming up each contestant; cycles of Benchmark.js at the least; and seconds of a call
 * from which on one round must do.
 */
const FULL = { seconds: 0.15, minCycles: 3, warmUp: 0.03, patience: 0.15 };
const QUICK = { seconds: 0.03, minCycles: 3, warmUp: 0.005, patience: 0.1 };
/** For the points of a sweep, of which there are hundreds: not against ourselves, too. V8 takes that long to optimize a call. */
const SWEEP = { again: false, seconds: 0.02, minCycles: 2, warmUp: 0.1, patience: 0.04 };

const isWanted = (title) => options.filter.some((text) => title.includes(text));

const say = options.json ? console.error : console.log;

async function measureCase(benchCase, peers, effort) {
  const { ours, others, lacking, failed, close } = await prepareCase(benchCase, peers, effort);
  for (const contestant of [ours, ...others]) await calibrate(contestant, effort);
  const measured = await measurePairs(titleOf(benchCase), ours, others, effort);
  await close();
  const pairs = measured.filter(({ error }) => !error);
  failed.push(...measured.filter(({ error }) => error).map(({ name, error }) => `${name}: ${error.message}`));
  // Our time is the one of the first pair, against ourselves or the copy, where no peer has been in the caches.
  const result = { benchCase, ours: pairs[0].ours, pairs, lacking, failed };
  if (options.json) console.log(JSON.stringify(toJson(result)));
  return result;
}

async function measureCases(peers) {
  const selected = cases.filter((c) => isWanted(titleOf(c)) && !(options.quick && c.slow));
  const results = [];
  for (const benchCase of selected) {
    const result = await measureCase(benchCase, peers, options.quick || benchCase.brief ? QUICK : FULL);
    results.push(result);
    say(caseTable(result));
  }
  if (selected.length === 0)
    say(`No case has "${options.filter.join('" or "')}" in its title${options.quick ? " in a quick run" : ""}.`);
  if (results.length > 1) say(`${overview(results)}\n`);
  return results;
}

async function measureSweeps(peers) {
  const selected = sweeps.filter(({ name, where }) => isWanted(`${name}, ${where}`));
  const curves = [];
  for (const { name, where, cases: sizes } of selected) {
    const points = [];
    for (const benchCase of sizes) {
      const point = await measureCase(benchCase, peers, SWEEP);
      points.push({ ...point, elements: elements(benchCase.shape) });
      for (const line of point.failed) say(`  skipped: ${line}`);
    }
    curves.push({ name, where, points });
    say(curveLine(curves.at(-1)));
  }
  say(
    selected.length > 0
      ? `\n${sweepTables(curves)}\n`
      : `No sweep has "${options.filter.join('" or "')}" in its title.`,
  );
  return curves;
}

const machine = `Node ${process.version}, ${process.platform} ${process.arch}, ${cpus()[0].model.trim()}, one thread`;
say(`${machine}. Times are medians; ratios are medians of paired rounds, with their quartiles.\n`);
const { peers, close } = options.sweep ? await openLoops() : await openPeers(say);
const results = options.sweep ? [] : await measureCases(peers);
const curves = options.sweep ? await measureSweeps(peers) : [];
close();
say(`Report: ${writeReport({ machine, results, curves })}`);
