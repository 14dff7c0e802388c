/** What the bench prints: a table for each case, one over all of them, and lines of JSON. */

const AGAIN = "evenkeel again";
const COPY = "memory.copy";
const PEAK = "multiply-add peak";

export const isReference = (name) => name === AGAIN;
export const isLimit = (name) => name === COPY || name === PEAK;

const SHORT = {
  [AGAIN]: "A/A",
  "onnxruntime-web": "ORT-web",
  "plain loop": "loop",
  "tfjs wasm": "tfjs",
  [COPY]: "copy",
  [PEAK]: "peak",
};

/** Three digits or the whole number, without exponents. */
export function digits(value) {
  if (value >= 100) return value.toFixed(0);
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

const times = (ratio) => `${digits(ratio)}x`;

export const titleOf = ({ name, shape, where }) => `${name} [${shape.join(",")}] f32, ${where}`;

export function rate({ flops, bytes }, seconds) {
  return flops ? `${digits(flops / seconds / 1e9)} GFLOP/s` : `${digits(bytes / seconds / 1e9)} GB/s`;
}

const column = (cells, right) => {
  const width = Math.max(...cells.map((cell) => cell.length));
  return cells.map((cell) => (right ? cell.padStart(width) : cell.padEnd(width)));
};

/** Lines of a table, its first column to the left. */
function tabulate(rows) {
  const columns = rows[0].map((_, i) =>
    column(
      rows.map((row) => row[i]),
      i > 0,
    ),
  );
  return rows.map((_, i) =>
    columns
      .map((cells) => cells[i])
      .join("  ")
      .trimEnd(),
  );
}

/** The table of one case. A ratio is how many times faster ours is, with the quartiles of the paired ratios. */
export function caseTable(result) {
  const { benchCase, ours, pairs, lacking, failed } = result;
  const rows = pairs.map(({ name, peer, ratio, rounds }) => [
    `  ${name}`,
    `${digits(peer * 1e6)} µs`,
    rate(benchCase, peer),
    times(ratio.median),
    `${times(ratio.low)} to ${times(ratio.high)}`,
    `${rounds} rounds`,
  ]);
  const head = ["evenkeel", `${digits(ours * 1e6)} µs`, rate(benchCase, ours), "", "", ""];
  return [
    titleOf(benchCase),
    ...tabulate([head, ...rows]).map((line) => `  ${line}`),
    ...(lacking.length > 0 ? [`    without it: ${lacking.join(", ")}`] : []),
    ...failed.map((line) => `    skipped: ${line}`),
    "",
  ].join("\n");
}

/** All cases at a glance: ratios to each contestant. */
export function overview(results) {
  const names = new Set(results.flatMap(({ pairs }) => pairs.map(({ name }) => name)));
  // Ourselves and the limits first, whichever case they turned up in first.
  const shown = [...new Set([AGAIN, COPY, PEAK, ...names])].filter((name) => names.has(name));
  const head = ["times faster than", "µs", "GB/s", "GFLOP/s", ...shown.map((name) => SHORT[name] ?? name)];
  const rows = results.map(({ benchCase, ours, pairs }) => [
    titleOf(benchCase),
    digits(ours * 1e6),
    benchCase.flops ? "" : digits(benchCase.bytes / ours / 1e9),
    benchCase.flops ? digits(benchCase.flops / ours / 1e9) : "",
    ...shown.map((name) => {
      const pair = pairs.find((p) => p.name === name);
      return pair ? digits(pair.ratio.median) : "-";
    }),
  ]);
  return tabulate([head, ...rows]).join("\n");
}

const rounded = (value) => (value === undefined ? null : Number(value.toPrecision(4)));

/**
 * One object a case. Times are medians in µs; the ratios to the peers are paired, and so not quite the times'
 * quotients.
 */
export function toJson({ benchCase, ours, pairs }) {
  const { name, shape, dtype, where, bytes, flops } = benchCase;
  const peers = pairs.filter(({ name }) => !isReference(name) && !isLimit(name));
  const microseconds = (pair) => rounded(pair && pair.peer * 1e6);
  return {
    case: name,
    shape,
    dtype,
    where,
    ours_us: rounded(ours * 1e6),
    copy_us: microseconds(pairs.find((pair) => pair.name === COPY)),
    peers: Object.fromEntries(peers.map((pair) => [pair.name, microseconds(pair)])),
    ratios: Object.fromEntries(peers.map((pair) => [pair.name, rounded(pair.ratio.median)])),
    gbps: rounded(bytes / ours / 1e9),
    gflops: flops ? rounded(flops / ours / 1e9) : null,
  };
}
