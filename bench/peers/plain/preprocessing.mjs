/** Loops of scalers, rows of unit length, whitening and images. */
import { jacobi } from "./products.mjs";

/** Mean and deviation of each column. */
function columnStatistics(x, rows, c) {
  const mean = new Float64Array(c);
  const squares = new Float64Array(c);
  for (let row = 0; row < rows; row++) for (let j = 0; j < c; j++) mean[j] += x[row * c + j] / rows;
  for (let row = 0; row < rows; row++) for (let j = 0; j < c; j++) squares[j] += (x[row * c + j] - mean[j]) ** 2;
  return { mean, deviation: squares.map((sum) => Math.sqrt(sum / rows)) };
}

function standardScalerFit({ x }, _, { shape: [rows, c] }) {
  return { scale: columnStatistics(x, rows, c).deviation };
}

function unitRows({ x }, y, { shape: [rows, n] }) {
  for (let row = 0; row < rows; row++) {
    let sum = 0;
    for (let j = row * n; j < (row + 1) * n; j++) sum += x[j] * x[j];
    const scale = 1 / Math.sqrt(sum);
    for (let j = row * n; j < (row + 1) * n; j++) y[j] = x[j] * scale;
  }
  return { y };
}

function standardScaler({ x }, y, { shape: [rows, c] }) {
  const { mean, deviation } = columnStatistics(x, rows, c);
  const scale = deviation.map((value) => 1 / value);
  for (let row = 0; row < rows; row++) {
    for (let j = 0; j < c; j++) y[row * c + j] = (x[row * c + j] - mean[j]) * scale[j];
  }
  return { y };
}

function standardScalerTransform({ x }, y, { shape: [rows, c] }) {
  if (!fitted.has(x)) fitted.set(x, columnStatistics(x, rows, c));
  const { mean, deviation } = fitted.get(x);
  for (let row = 0; row < rows; row++) {
    for (let j = 0; j < c; j++) y[row * c + j] = (x[row * c + j] - mean[j]) / deviation[j];
  }
  return { y };
}

/** Statistics of data that were fitted before. */
const fitted = new WeakMap();

function unitRowsBackward({ x, dy }, dx, { shape: [rows, n] }) {
  for (let row = 0; row < rows; row++) {
    let sum = 0;
    let along = 0;
    for (let j = row * n; j < (row + 1) * n; j++) {
      sum += x[j] * x[j];
      along += x[j] * dy[j];
    }
    const scale = 1 / Math.sqrt(sum);
    for (let j = row * n; j < (row + 1) * n; j++) dx[j] = (dy[j] - (x[j] * along) / sum) * scale;
  }
  return { dx };
}

function minMaxScaler({ x }, y, { shape: [rows, c] }) {
  const low = new Float64Array(c).fill(Infinity);
  const high = new Float64Array(c).fill(-Infinity);
  for (let row = 0; row < rows; row++) {
    for (let j = 0; j < c; j++) {
      const value = x[row * c + j];
      if (value < low[j]) low[j] = value;
      if (value > high[j]) high[j] = value;
    }
  }
  const scale = high.map((value, j) => 1 / (value - low[j]));
  for (let row = 0; row < rows; row++) {
    for (let j = 0; j < c; j++) y[row * c + j] = (x[row * c + j] - low[j]) * scale[j];
  }
  return { y };
}

function maxAbsScaler({ x }, y, { shape: [rows, c] }) {
  const largest = new Float64Array(c);
  for (let row = 0; row < rows; row++) {
    for (let j = 0; j < c; j++) largest[j] = Math.max(largest[j], Math.abs(x[row * c + j]));
  }
  const scale = largest.map((value) => 1 / value);
  for (let row = 0; row < rows; row++) for (let j = 0; j < c; j++) y[row * c + j] = x[row * c + j] * scale[j];
  return { y };
}

/** Between the two values around the place of a quantile, as numpy has it. */
function quantile(sorted, at) {
  const place = at * (sorted.length - 1);
  const below = Math.floor(place);
  const next = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (place - below) * (sorted[next] - sorted[below]);
}

function robustScaler({ x }, y, { shape: [rows, c] }) {
  const column = new Float32Array(rows);
  for (let j = 0; j < c; j++) {
    for (let row = 0; row < rows; row++) column[row] = x[row * c + j];
    column.sort();
    const center = quantile(column, 0.5);
    const scale = 1 / (quantile(column, 0.75) - quantile(column, 0.25));
    for (let row = 0; row < rows; row++) y[row * c + j] = (x[row * c + j] - center) * scale;
  }
  return { y };
}

function centering({ x }, y, { shape: [rows, c] }) {
  const mean = new Float64Array(c);
  for (let row = 0; row < rows; row++) for (let j = 0; j < c; j++) mean[j] += x[row * c + j];
  for (let j = 0; j < c; j++) mean[j] /= rows;
  for (let row = 0; row < rows; row++) for (let j = 0; j < c; j++) y[row * c + j] = x[row * c + j] - mean[j];
  return { y };
}

/** Mean and covariance of the columns. */
function covarianceOf(x, rows, c) {
  const mean = new Float64Array(c);
  for (let row = 0; row < rows; row++) for (let j = 0; j < c; j++) mean[j] += x[row * c + j] / rows;
  const covariance = new Float64Array(c * c);
  const d = new Float64Array(c);
  for (let row = 0; row < rows; row++) {
    for (let j = 0; j < c; j++) d[j] = x[row * c + j] - mean[j];
    for (let i = 0; i < c; i++) for (let j = 0; j < c; j++) covariance[i * c + j] += d[i] * d[j];
  }
  return { mean, covariance: covariance.map((sum) => sum / rows) };
}

/** y = (x − mean)·matrix. */
function project(x, mean, matrix, y, rows, c) {
  const sums = new Float64Array(c);
  for (let row = 0; row < rows; row++) {
    sums.fill(0);
    for (let i = 0; i < c; i++) {
      const d = x[row * c + i] - mean[i];
      for (let j = 0; j < c; j++) sums[j] += d * matrix[i * c + j];
    }
    y.set(sums, row * c);
  }
}

function whitening({ x }, y, { shape: [rows, c] }) {
  const { mean, covariance } = covarianceOf(x, rows, c);
  const { values, vectors } = jacobi(covariance, c);
  const matrix = new Float64Array(c * c);
  for (let k = 0; k < c; k++) {
    const scale = 1 / Math.sqrt(values[k]);
    for (let i = 0; i < c; i++) {
      for (let j = 0; j < c; j++) matrix[i * c + j] += scale * vectors[k * c + i] * vectors[k * c + j];
    }
  }
  project(x, mean, matrix, y, rows, c);
  return { y };
}

function decorrelation({ x }, y, { shape: [rows, c] }) {
  const { mean, covariance } = covarianceOf(x, rows, c);
  const { values, vectors } = jacobi(covariance, c);
  const order = Array.from(values.keys()).sort((a, b) => values[b] - values[a]);
  const matrix = new Float64Array(c * c);
  order.forEach((k, j) => {
    const vector = vectors.subarray(k * c, (k + 1) * c);
    const largest = vector.reduce((most, value) => (Math.abs(value) > Math.abs(most) ? value : most), 0);
    for (let i = 0; i < c; i++) matrix[i * c + j] = largest < 0 ? -vector[i] : vector[i];
  });
  project(x, mean, matrix, y, rows, c);
  return { y };
}

/** Solves a·x = b by elimination; a is [n, n], positive definite. */
function solve(a, b, n) {
  for (let p = 0; p < n; p++) {
    for (let i = p + 1; i < n; i++) {
      const factor = a[i * n + p] / a[p * n + p];
      for (let j = p; j < n; j++) a[i * n + j] -= factor * a[p * n + j];
      b[i] -= factor * b[p];
    }
  }
  for (let i = n - 1; i >= 0; i--) {
    for (let j = i + 1; j < n; j++) b[i] -= a[i * n + j] * b[j];
    b[i] /= a[i * n + i];
  }
  return b;
}

/** The odds of target against source by logistic regression: Newton's steps on standardized features, penalty 1. */
function covariateShiftWeights({ x, target }, _, { shape: [rows, c] }) {
  const all = new Float64Array(2 * rows * c);
  all.set(x);
  all.set(target, rows * c);
  const { mean, deviation } = columnStatistics(all, 2 * rows, c);
  for (let row = 0; row < 2 * rows; row++) {
    for (let j = 0; j < c; j++) all[row * c + j] = (all[row * c + j] - mean[j]) / deviation[j];
  }
  const n = c + 1;
  const beta = new Float64Array(n);
  const odds = new Float64Array(2 * rows);
  for (let step = 0; step < 50; step++) {
    const gradient = Float64Array.from(beta, (value, j) => (j < c ? value : 0));
    const curvature = new Float64Array(n * n);
    for (let j = 0; j < c; j++) curvature[j * n + j] = 1;
    for (let row = 0; row < 2 * rows; row++) {
      odds[row] = beta[c];
      for (let j = 0; j < c; j++) odds[row] += beta[j] * all[row * c + j];
      const chance = 1 / (1 + Math.exp(-odds[row]));
      const residual = chance - (row < rows ? 0 : 1);
      const slope = chance * (1 - chance);
      for (let i = 0; i < n; i++) {
        const value = i < c ? all[row * c + i] : 1;
        gradient[i] += residual * value;
        for (let j = 0; j < c; j++) curvature[i * n + j] += slope * value * all[row * c + j];
        curvature[i * n + c] += slope * value;
      }
    }
    if (Math.hypot(...gradient) < 1e-9 * rows) break;
    const move = solve(curvature, gradient, n);
    for (let j = 0; j < n; j++) beta[j] -= move[j];
  }
  return { weights: odds.subarray(0, rows).map(Math.exp) };
}

const [MEAN, STD] = [
  [0.485, 0.456, 0.406],
  [0.229, 0.224, 0.225],
];

/** Pixel after pixel, a multiplication and an addition for each channel. */
/** As tutorials of the inference runtimes have it. */
function imageToTensor({ x }, y) {
  const pixels = x.length / 4;
  for (let i = 0; i < pixels; i++) {
    for (let c = 0; c < 3; c++) y[c * pixels + i] = (x[4 * i + c] / 255 - MEAN[c]) / STD[c];
  }
  return { y };
}

/** A clamped array rounds and limits by itself. */
function tensorToImage({ x }) {
  const pixels = x.length / 3;
  const y = new Uint8ClampedArray(4 * pixels);
  for (let i = 0; i < pixels; i++) {
    for (let c = 0; c < 3; c++) y[4 * i + c] = 255 * (x[c * pixels + i] * STD[c] + MEAN[c]);
    y[4 * i + 3] = 255;
  }
  return { y };
}

export const preprocessing = {
  standardScaler,
  standardScalerFit,
  standardScalerTransform,
  minMaxScaler,
  maxAbsScaler,
  robustScaler,
  centering,
  unitRows,
  unitRowsBackward,
  whitening,
  decorrelation,
  covariateShiftWeights,
  imageToTensor,
  tensorToImage,
};
