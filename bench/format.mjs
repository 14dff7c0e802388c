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

/** One object a case; times are medians in µs. */
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
    gbps: rounded(bytes / ours / 1e9),
    gflops: flops ? rounded(flops / ours / 1e9) : null,
  };
}

/** The least that a row-wise or channel-wise method should be ahead of the plain loop, from this many elements on. */
const AHEAD = 4;
const FROM = 256;
/** From here on, the cost of an element should not grow but where memory's own does, by more than noise. */
const LINEAR_FROM = 4096;
const NOISE = 1.25;

const LOOP = "plain loop";
const count = (n) => (n >= 2 ** 20 ? `${n / 2 ** 20}M` : n >= 1024 ? `${n / 1024}K` : `${n}`);
const pairOf = ({ pairs }, name) => pairs.find((pair) => pair.name === name);

/** One line of a curve: how many times faster than the plain loop ours is at each size. */
function loopCells({ points }, sizes) {
  return sizes.map((n) => {
    const point = points.find(({ elements }) => elements === n);
    const pair = point && pairOf(point, LOOP);
    return pair ? digits(pair.ratio.median) : "-";
  });
}

/** A curve as it is measured: elements and times faster than the plain loop. */
export function curveLine(curve) {
  const cells = curve.points.map((point) => `${count(point.elements)} ${loopCells(curve, [point.elements])[0]}`);
  return `${curve.name}, ${curve.where}: ${cells.join("  ")}`;
}

/** The steps from one size to the next at which the cost of an element grows, and more than that of memory.copy. */
function steepSteps({ points }) {
  const steps = [];
  for (let i = 1; i < points.length; i++) {
    const [from, to] = [points[i - 1], points[i]];
    if (from.elements < LINEAR_FROM) continue;
    const grown = to.elements / from.elements;
    const ours = to.ours / from.ours / grown;
    const memory = (pairOf(to, COPY)?.peer ?? 0) / (pairOf(from, COPY)?.peer ?? 1) / grown;
    if (ours > NOISE * Math.max(1, memory)) {
      steps.push(`${count(from.elements)} to ${count(to.elements)} ${times(ours)} (memory ${times(memory)})`);
    }
  }
  return steps;
}

/** What the sweeps come to: ratios to the plain loop by size, and what falls short. */
export function sweepTables(curves) {
  const sizes = [...new Set(curves.flatMap(({ points }) => points.map(({ elements }) => elements)))].sort(
    (a, b) => a - b,
  );
  const head = ["times faster than the plain loop, by elements", ...sizes.map(count)];
  const rows = curves.map((curve) => [`${curve.name}, ${curve.where}`, ...loopCells(curve, sizes)]);
  const short = (least, above) =>
    curves.flatMap(({ name, where, points }) => {
      const found = points.filter((point) => {
        const ratio = pairOf(point, LOOP)?.ratio.median;
        return point.elements >= FROM && ratio < least && ratio >= above;
      });
      const at = found.map((point) => `${count(point.elements)} ${times(pairOf(point, LOOP).ratio.median)}`);
      return at.length > 0 ? [`  ${name}, ${where}: ${at.join(", ")}`] : [];
    });
  const steep = curves.flatMap((curve) => {
    const steps = steepSteps(curve);
    return steps.length > 0 ? [`  ${curve.name}, ${curve.where}: ${steps.join(", ")}`] : [];
  });
  const list = (title, lines) => [``, `${title}${lines.length > 0 ? "" : " none"}`, ...lines];
  return [
    ...tabulate([head, ...rows]),
    ...list(`Slower than the plain loop, from ${FROM} elements up:`, short(1, 0)),
    ...list(`Less than ${AHEAD} times as fast, from ${FROM} elements up:`, short(AHEAD, 1)),
    ...list(`An element costs more at the next size, and more than memory.copy does:`, steep),
  ].join("\n");
}
