/** Loops of the LSTMs. */
import { EPS } from "../../operations/common.mjs";

const sigmoid = (value) => 1 / (1 + Math.exp(-value));

/** y = x·wᵀ for x [n, features] from `from` on. */
function product(x, from, w, n, units, features) {
  const y = new Float64Array(n * units);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < units; j++) {
      let sum = 0;
      for (let p = 0; p < features; p++) sum += x[from + i * features + p] * w[j * features + p];
      y[i * units + j] = sum;
    }
  }
  return y;
}

/** Rows to mean 0 and variance 1. */
function normalizeRows(x, n, c) {
  for (let i = 0; i < n; i++) {
    let mean = 0;
    for (let j = 0; j < c; j++) mean += x[i * c + j] / c;
    let variance = 0;
    for (let j = 0; j < c; j++) variance += (x[i * c + j] - mean) ** 2 / c;
    const r = 1 / Math.sqrt(variance + EPS);
    for (let j = 0; j < c; j++) x[i * c + j] = (x[i * c + j] - mean) * r;
  }
  return x;
}

/** Columns to mean 0 and deviation 0.1, the gain that the method starts from. */
function normalizeColumns(x, n, c) {
  const mean = new Float64Array(c);
  const variance = new Float64Array(c);
  for (let i = 0; i < n; i++) for (let j = 0; j < c; j++) mean[j] += x[i * c + j] / n;
  for (let i = 0; i < n; i++) for (let j = 0; j < c; j++) variance[j] += (x[i * c + j] - mean[j]) ** 2 / n;
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < c; j++) x[i * c + j] = (0.1 * (x[i * c + j] - mean[j])) / Math.sqrt(variance[j] + EPS);
  }
  return x;
}

const lstm = (normalize) =>
  function lstm({ x, weightIh, weightHh, h0 }, y, { shape: [steps, n, units] }) {
    const c = new Float64Array(n * units);
    let [h, at] = [h0, 0];
    for (let t = 0; t < steps; t++) {
      const ofInput = normalize(product(x, t * n * units, weightIh, n, 4 * units, units), n, 4 * units);
      const ofState = normalize(product(h, at, weightHh, n, 4 * units, units), n, 4 * units);
      const gates = (i, gate, j) => {
        const place = (4 * i + gate) * units + j;
        return ofInput[place] + ofState[place];
      };
      for (let i = 0; i < n; i++) {
        for (let j = 0; j < units; j++) {
          const kept = sigmoid(gates(i, 0, j)) * c[i * units + j];
          c[i * units + j] = kept + sigmoid(gates(i, 1, j)) * Math.tanh(gates(i, 3, j));
        }
      }
      const cell = normalize(c.slice(), n, units);
      [h, at] = [y, t * n * units];
      for (let i = 0; i < n; i++) {
        for (let j = 0; j < units; j++)
          y[at + i * units + j] = sigmoid(gates(i, 2, j)) * Math.tanh(cell[i * units + j]);
      }
    }
    return { y };
  };

export const recurrent = { recurrentBatchNorm: lstm(normalizeColumns), layerNormLSTM: lstm(normalizeRows) };
