/** The report: one HTML page with everything in it, bars for the cases and curves for the size sweeps. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { digits, isLimit, isReference, rate, titleOf } from "./format.mjs";

const folder = fileURLToPath(new URL("../report/", import.meta.url));
const uplot = path.join(path.dirname(createRequire(import.meta.url).resolve("uplot/package.json")), "dist");
const asset = (file) => readFileSync(new URL(`page/${file}`, import.meta.url), "utf8");

const escaped = (text) => text.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);

/** The bars' scale is logarithmic, from 1/10 to 1000 times; what is outside is drawn to the edge. */
const [LEAST, MOST] = [-1, 3];
const place = (ratio) => {
  const share = (Math.log10(ratio) - LEAST) / (MOST - LEAST);
  return 100 * Math.min(1, Math.max(0, share));
};

function bar({ name, peer, ratio }) {
  const [from, to] = [place(1), place(ratio.median)].sort((a, b) => a - b);
  const [low, high] = [place(ratio.low), place(ratio.high)];
  const kind = isLimit(name) || isReference(name) ? "limit" : ratio.median >= 1 ? "ahead" : "behind";
  const spread = `${digits(ratio.low)} to ${digits(ratio.high)}`;
  return `<tr title="quartiles ${spread}"><th>${escaped(name)}</th><td>${digits(peer * 1e6)} µs</td>
    <td class="bar"><i class="${kind}" style="left:${from}%;width:${to - from}%"></i>
    <b style="left:${low}%;width:${high - low}%"></b></td><td>${digits(ratio.median)}×</td></tr>`;
}

function section({ benchCase, ours, pairs }) {
  return `<section><h3>${escaped(titleOf(benchCase))}</h3>
    <p>${digits(ours * 1e6)} µs, ${rate(benchCase, ours)}</p><table>${pairs.map(bar).join("\n")}</table></section>`;
}

/** The points of a sweep as uPlot takes them: sizes, then for each contestant the time in µs or null. */
function curveData({ name, where, points }) {
  const names = [...new Set(points.flatMap(({ pairs }) => pairs.map((pair) => pair.name)))].filter(
    (n) => !isReference(n),
  );
  const sizes = points.map(({ benchCase }) => benchCase.shape.reduce((a, b) => a * b, 1));
  const times = names.map((n) => points.map(({ pairs }) => (pairs.find((pair) => pair.name === n)?.peer ?? NaN) * 1e6));
  return {
    title: `${name}, ${where}: µs a call by elements`,
    names: ["evenkeel", ...names],
    data: [sizes, points.map(({ ours }) => ours * 1e6), ...times], // JSON writes NaN as null, a gap
  };
}

/** Writes the page and returns its path. */
export function writeReport({ machine, results, curves }) {
  const sweeps = JSON.stringify(curves.map(curveData)).replaceAll("<", "\\u003c");
  const page = `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>evenkeel: bench</title>
<style>${readFileSync(path.join(uplot, "uPlot.min.css"), "utf8")}${asset("report.css")}</style>
<h1>evenkeel: bench</h1>
<p>${escaped(machine)}, ${new Date().toISOString().slice(0, 10)}. A bar is how many times as long a peer takes as
evenkeel: to the right of the line evenkeel is faster. It is the median of the ratios of paired, interleaved blocks; the
thin mark is their quartiles. Scale: logarithmic, 0.1× to 1000×. Grey: evenkeel against itself, and what the machine can
do at all.</p>
<main>${results.map(section).join("\n")}</main>
<div id="sweeps"></div>
<script>${readFileSync(path.join(uplot, "uPlot.iife.min.js"), "utf8")}</script>
<script>const sweeps = ${sweeps};
${asset("report.js")}</script>
</html>
`;
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, "bench.html"), page);
  return "report/bench.html";
}
