/** The report: one HTML page with the curves, drawn by uPlot, whose script and style are inlined. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { BATCH, SIZES } from "./train.mjs";

const uplotFile = (name) => readFileSync(createRequire(import.meta.url).resolve(`uplot/dist/${name}`), "utf8");
const count = (number) => number.toLocaleString("en");
const percent = (share) => `${(100 * share).toFixed(2)} %`;

const STYLE = `
:root {
  color-scheme: light dark;
  --page: #fcfcfb; --text: #1a1a19; --quiet: #5f5e5a; --grid: #e4e3df; --with: #2a78d6; --without: #d9590f;
}
@media (prefers-color-scheme: dark) {
  :root { --page: #1a1a19; --text: #f2f1ed; --quiet: #b3b2ac; --grid: #383835; --with: #4f9bf0; --without: #ee8145; }
}
body { margin: 0 auto; max-width: 60rem; padding: 2rem 1.25rem 4rem; background: var(--page); color: var(--text);
  font: 16px/1.55 system-ui, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 0.75rem; }
h2 { font-size: 1.1rem; margin: 2.5rem 0 0.25rem; }
p { margin: 0.25rem 0 0.75rem; max-width: 44rem; }
.quiet { color: var(--quiet); }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: 0 1.5rem; }
h3 { font-size: 1rem; margin: 0.75rem 0 0.25rem; }
.chart + h3 { margin-top: 1.75rem; }
.chart { min-width: 0; }
table { border-collapse: collapse; margin: 0.5rem 0 1rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.25rem 1.25rem 0.25rem 0; text-align: right; border-bottom: 1px solid var(--grid); }
th:first-child, td:first-child { text-align: left; }
td, .sizes { white-space: nowrap; }
th { font-weight: 600; }
.uplot, .u-legend { font: 13px/1.5 system-ui, sans-serif; }
.u-legend { color: var(--text); font-variant-numeric: tabular-nums; }
.u-legend th, .u-legend td { border: 0; }
.u-legend .u-value { min-width: 2.8em; display: inline-block; text-align: left; }
.u-legend td, .u-legend th { padding: 0 2px; font-weight: 400; }
.u-legend.u-inline .u-series { margin-right: 6px; }
`;

/**
 * Draws all charts. It runs in the browser: its text goes into the page, so it may use nothing of this module. Each
 * chart is `{ element, label, range, x, lines: [{ name, color, width, dash, values }], band, unit, digits }`.
 */
function drawCharts(charts) {
  const drawn = [];
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function draw({ element, label, range, x, lines, band, unit, digits }) {
    const place = document.getElementById(element);
    const show = (value) => (value === null || value === undefined ? "" : value.toFixed(digits) + unit);
    const axis = (text, size, values) => ({
      label: text,
      size,
      values,
      labelSize: 22,
      labelGap: 2,
      font: "12px system-ui, sans-serif",
      labelFont: "13px system-ui, sans-serif",
      stroke: color("--quiet"),
      grid: { stroke: color("--grid"), width: 1 },
      ticks: { stroke: color("--grid"), width: 1, size: 5 },
    });
    const steps = (value) => value.toLocaleString("en");
    // The legend shows the values under the cursor, and the last ones while there is none.
    const last = x.length - 1;
    const showLast = (plot) => {
      if (plot.cursor.idx === null || plot.cursor.idx === undefined) plot.setLegend({ idx: last });
    };
    const options = {
      width: place.clientWidth,
      height: Math.round(Math.min(380, Math.max(260, place.clientWidth * 0.55))),
      scales: { x: { time: false }, y: { range } },
      axes: [
        axis("training step", 34, (_, ticks) => ticks.map(steps)),
        axis(label, 48, (_, ticks) => ticks.map((tick) => tick + unit)),
      ],
      series: [
        { label: "step", value: (_, value) => (value === null || value === undefined ? "" : steps(value)) },
        ...lines.map((line) => ({
          label: line.name,
          stroke: color(line.color),
          width: line.width,
          dash: line.dash,
          points: { show: false },
          value: (_, value) => show(value),
        })),
      ],
      bands: band ? [{ series: band, fill: `${color(lines[0].color)}22` }] : [],
      cursor: { drag: { setScale: false } },
      hooks: { ready: [showLast], setCursor: [showLast] },
    };
    drawn.push(new uPlot(options, [x, ...lines.map((line) => line.values)], place));
  }

  function drawAll() {
    for (const plot of drawn.splice(0)) plot.destroy();
    for (const chart of charts) draw(chart);
  }
  drawAll();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  let waiting;
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth === width) return;
    width = innerWidth;
    clearTimeout(waiting);
    waiting = setTimeout(drawAll, 100);
  });
}

/** A value for a script element: "<" is written so that no text in it can close the element. */
const embed = (value) => JSON.stringify(value).replaceAll("<", "\\u003c");

/** The 15th, 50th and 85th percentiles as a chart; the outer two frame a band. */
function percentileChart(element, evaluations, color, range) {
  const line = (name, which, style) => ({
    name,
    color,
    values: evaluations.map(({ percentiles }) => percentiles[which]),
    ...style,
  });
  return {
    element,
    label: "input of the sigmoid",
    range,
    unit: "",
    digits: 2,
    x: evaluations.map(({ step }) => step),
    lines: [
      line("85th", 2, { width: 1.5, dash: [6, 4] }),
      line("median", 1, { width: 2.5 }),
      line("15th", 0, { width: 1.5, dash: [2, 3] }),
    ],
    band: [1, 3],
  };
}

/** The page, from the evaluations of both networks, the plan of the run and the times of the scaler. */
export function reportPage({ withNorm, without, plan, standardization }) {
  const all = [...withNorm, ...without];
  const inputs = all.flatMap(({ percentiles }) => percentiles);
  // One range for both charts, or their heights could not be compared.
  const range = [Math.floor(Math.min(...inputs) - 0.25), Math.ceil(Math.max(...inputs) + 0.25)];
  const accuracyLine = (name, color, evaluations) => ({
    name,
    color,
    width: 2,
    values: evaluations.map(({ accuracy }) => 100 * accuracy),
  });
  // Both end close together, so the upper end is drawn a second time, large.
  const ends = [withNorm, without].map((evaluations) => 100 * evaluations.at(-1).accuracy);
  const closeUp = [Math.max(0, Math.floor(Math.min(...ends)) - 6), Math.min(100, Math.ceil(Math.max(...ends)) + 1)];
  const accuracyChart = (element, range) => ({
    element,
    label: "accuracy on held-out digits",
    range,
    unit: " %",
    digits: 2,
    x: withNorm.map(({ step }) => step),
    lines: [accuracyLine("with batch norm", "--with", withNorm), accuracyLine("without", "--without", without)],
  });
  const charts = [
    accuracyChart("accuracy", [0, 100]),
    accuracyChart("accuracy-close", closeUp),
    percentileChart("inputs-without", without, "--without", range),
    percentileChart("inputs-with", withNorm, "--with", range),
  ];
  const reached = (evaluations, share) => {
    const found = evaluations.find(({ accuracy }) => accuracy >= share);
    return found ? count(found.step) : "not reached";
  };
  const row = (name, cells) => `<tr><td>${[name, ...cells].join("</td><td>")}</td></tr>`;
  const summary = (name, evaluations) =>
    row(name, [...[0.5, 0.8, 0.9].map((share) => reached(evaluations, share)), percent(evaluations.at(-1).accuracy)]);
  const scalerRows = standardization.ways.map(({ name, fit, transform }) =>
    row(name, [`${fit.toFixed(1)} ms`, `${transform.toFixed(1)} ms`]),
  );

  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Batch norm on MNIST</title>
<style>${uplotFile("uPlot.min.css")}${STYLE}</style>
<h1>A sigmoid network on MNIST, with and without batch norm</h1>
<p>Experiment of section 4.1 of <a href="https://arxiv.org/abs/1502.03167">Ioffe and Szegedy, 2015</a>: a network of
<span class="sizes">${SIZES.join("-")}</span> units, sigmoids, cross-entropy, stochastic gradient descent on batches of
${BATCH}. Both networks start from the same weights and see the same batches at the same learning rate,
${plan.learningRate}; one has batch norm before each sigmoid.</p>
<p class="quiet">${count(plan.steps)} steps on ${count(plan.training)} digits, each moved by up to a pixel whenever it
is drawn; accuracy on ${count(plan.heldOut)} others; seed ${plan.seed}. (The paper trains on 60,000 digits for 50,000
steps; both its curves end higher.)</p>
<table>
<tr><th></th><th>50 % at step</th><th>80 % at step</th><th>90 % at step</th><th>at the end</th></tr>
${summary("with batch norm", withNorm)}
${summary("without", without)}
</table>

<h2>Accuracy</h2>
<p>The gradient shrinks at each sigmoid that it goes back through. Without batch norm little of it reaches the first
layers, and the network stands still at first; with it, learning starts at once.</p>
<div class="chart" id="accuracy"></div>
<h3>The same, close up</h3>
<div class="chart" id="accuracy-close"></div>

<h2>What arrives at one sigmoid</h2>
<p>15th, 50th and 85th percentile, over the held-out digits, of the input to one unit of the last hidden layer. Without
batch norm its distribution starts narrow, then spreads and drifts as the layers below it change, and the unit has to
follow. With batch norm it is wide from the start and keeps its place.</p>
<div class="pair">
<div><h3>Without batch norm</h3><div class="chart" id="inputs-without"></div></div>
<div><h3>With batch norm</h3><div class="chart" id="inputs-with"></div></div>
</div>

<h2>Standardizing the pixels</h2>
<p>StandardScaler on 10,000 × 784 pixels (f32, one thread, medians), beside a plain JavaScript loop that does the
same.</p>
<table>
<tr><th></th><th>fit</th><th>transform</th></tr>
${scalerRows.join("\n")}
</table>

<script>${uplotFile("uPlot.iife.min.js")}</script>
<script>
${drawCharts}
drawCharts(${embed(charts)});
</script>
</html>
`;
}
