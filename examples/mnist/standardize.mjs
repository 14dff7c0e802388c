/** The StandardScaler beside a plain JavaScript loop that does the same: mean 0 and variance 1 for each column. */
import { StandardScaler, tensor } from "evenkeel";

const RUNS = 7;

/** Mean and 1/deviation of each column, in two passes over the rows; the sums are f64. */
function fitPlain(x, columns) {
  const rows = x.length / columns;
  const mean = new Float64Array(columns);
  const variance = new Float64Array(columns);
  for (let from = 0; from < x.length; from += columns) {
    for (let i = 0; i < columns; i++) mean[i] += x[from + i];
  }
  for (let i = 0; i < columns; i++) mean[i] /= rows;
  for (let from = 0; from < x.length; from += columns) {
    for (let i = 0; i < columns; i++) {
      const distance = x[from + i] - mean[i];
      variance[i] += distance * distance;
    }
  }
  // A column that never changes, such as a pixel of the margin, is only centered.
  const scale = variance.map((sum) => (sum > 0 ? 1 / Math.sqrt(sum / rows) : 1));
  return { mean, scale };
}

function transformPlain(x, { mean, scale }, y) {
  const columns = mean.length;
  for (let from = 0; from < x.length; from += columns) {
    for (let i = 0; i < columns; i++) y[from + i] = (x[from + i] - mean[i]) * scale[i];
  }
}

/** The median time of several runs in milliseconds, after two to warm up. */
function medianTime(work) {
  const times = [];
  for (let run = -2; run < RUNS; run++) {
    const start = performance.now();
    work();
    if (run >= 0) times.push(performance.now() - start);
  }
  return times.sort((a, b) => a - b)[RUNS >> 1];
}

/**
 * Fits and transforms a [rows, columns] matrix in three ways. Gives `{ ways, difference }`: name, `fit` and `transform`
 * in milliseconds for each way, and the largest difference between our result and that of the plain loop, relative to
 * values beyond 1.
 */
export function compareStandardization(data, columns) {
  const shape = [data.length / columns, columns];
  const ways = [];

  // The plain loop comes first. Linear memory has to grow for 10,000 digits, and once it has, V8 runs every loop over
  // typed arrays at about half the speed: measured later, the loop would look worse than it is.
  const plain = { data: new Float32Array(data.length), shape };
  let fitted;
  ways.push({
    name: "plain JavaScript loop",
    fit: medianTime(() => {
      fitted = fitPlain(data, columns);
    }),
    transform: medianTime(() => transformPlain(data, fitted, plain.data)),
  });

  const scaler = new StandardScaler();
  const measure = (name, x, out) =>
    ways.push({
      name,
      fit: medianTime(() => scaler.fit(x)),
      transform: medianTime(() => scaler.transform(x, { out })),
    });
  const result = { data: new Float32Array(data.length), shape };
  measure("evenkeel, heap arrays", { data, shape }, result);
  const [x, y] = [tensor(shape, { data }), tensor(shape)];
  measure("evenkeel, linear memory", x, y);
  x.dispose();
  y.dispose();

  let difference = 0;
  for (let i = 0; i < data.length; i++) {
    const distance = Math.abs(result.data[i] - plain.data[i]) / Math.max(1, Math.abs(plain.data[i]));
    difference = Math.max(difference, distance);
  }
  return { ways, difference };
}
