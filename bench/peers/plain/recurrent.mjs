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

/** y = gain·xhat over rows, or over columns, and the way back. */
const keeping = (alongRows, gain) =>
  function keep(x, n, c) {
    const [sets, size, perSet, perElement] = alongRows ? [n, c, c, 1] : [c, n, 1, c];
    const xhat = new Float64Array(n * c);
    const rstd = new Float64Array(sets);
    for (let set = 0; set < sets; set++) {
      let mean = 0;
      for (let i = 0; i < size; i++) mean += x[set * perSet + i * perElement] / size;
      let variance = 0;
      for (let i = 0; i < size; i++) variance += (x[set * perSet + i * perElement] - mean) ** 2 / size;
      rstd[set] = 1 / Math.sqrt(variance + EPS);
      for (let i = 0; i < size; i++) {
        const at = set * perSet + i * perElement;
        xhat[at] = (x[at] - mean) * rstd[set];
      }
    }
    const back = (dy) => {
      const dx = new Float64Array(n * c);
      for (let set = 0; set < sets; set++) {
        let sum = 0;
        let along = 0;
        for (let i = 0; i < size; i++) {
          const at = set * perSet + i * perElement;
          sum += dy[at] / size;
          along += (dy[at] * xhat[at]) / size;
        }
        for (let i = 0; i < size; i++) {
          const at = set * perSet + i * perElement;
          dx[at] = gain * rstd[set] * (dy[at] - sum - xhat[at] * along);
        }
      }
      return dx;
    };
    return { y: xhat.map((value) => gain * value), back };
  };

/** Gradients of y = x·wᵀ for x [n, features] from `from` on: gives dx, adds to dw. */
function productBack(dy, x, from, w, dw, n, units, features) {
  const dx = new Float64Array(n * features);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < units; j++) {
      const g = dy[i * units + j];
      for (let p = 0; p < features; p++) {
        dx[i * features + p] += g * w[j * features + p];
        dw[j * features + p] += g * x[from + i * features + p];
      }
    }
  }
  return dx;
}

/** Forward, keeping what the way back needs, and back through time. */
const lstmStep = (keep) =>
  function lstmStep({ x, weightIh, weightHh, h0, dy }, dx, { shape: [steps, n, units] }) {
    const size = n * units;
    const past = [];
    let [h, c] = [Float64Array.from(h0), new Float64Array(size)];
    for (let t = 0; t < steps; t++) {
      const ofInput = keep(product(x, t * size, weightIh, n, 4 * units, units), n, 4 * units);
      const ofState = keep(product(h, 0, weightHh, n, 4 * units, units), n, 4 * units);
      const gates = ofInput.y.map((value, at) => {
        const z = value + ofState.y[at];
        return at % (4 * units) < 3 * units ? sigmoid(z) : Math.tanh(z);
      });
      const next = new Float64Array(size);
      for (let i = 0; i < n; i++) {
        for (let j = 0; j < units; j++) {
          const [f, take, , g] = [0, 1, 2, 3].map((gate) => gates[(4 * i + gate) * units + j]);
          next[i * units + j] = f * c[i * units + j] + take * g;
        }
      }
      const cell = keep(next, n, units);
      const squashed = cell.y.map(Math.tanh);
      past.push({ h, c, gates, squashed, backs: [ofInput.back, ofState.back, cell.back] });
      h = squashed.map((value, at) => value * gates[(4 * Math.floor(at / units) + 2) * units + (at % units)]);
      c = next;
    }
    const dweightIh = new Float32Array(weightIh.length);
    const dweightHh = new Float32Array(weightHh.length);
    let dh = new Float64Array(size);
    const dc = new Float64Array(size);
    for (let t = steps - 1; t >= 0; t--) {
      const { h: before, c: cellBefore, gates, squashed, backs } = past[t];
      const dgates = new Float64Array(4 * size);
      const dcell = new Float64Array(size);
      for (let at = 0; at < size; at++) {
        const o = (4 * Math.floor(at / units) + 2) * units + (at % units);
        const g = dh[at] + dy[t * size + at];
        dgates[o] = g * squashed[at] * gates[o] * (1 - gates[o]);
        dcell[at] = g * gates[o] * (1 - squashed[at] ** 2);
      }
      const through = backs[2](dcell);
      for (let at = 0; at < size; at++) {
        const f = 4 * Math.floor(at / units) * units + (at % units);
        const [take, g] = [f + units, f + 3 * units];
        const d = through[at] + dc[at];
        dgates[f] = d * cellBefore[at] * gates[f] * (1 - gates[f]);
        dgates[take] = d * gates[g] * gates[take] * (1 - gates[take]);
        dgates[g] = d * gates[take] * (1 - gates[g] ** 2);
        dc[at] = d * gates[f];
      }
      dx.set(productBack(backs[0](dgates), x, t * size, weightIh, dweightIh, n, 4 * units, units), t * size);
      dh = productBack(backs[1](dgates), before, 0, weightHh, dweightHh, n, 4 * units, units);
    }
    return { dx, dweightIh, dweightHh };
  };

export const recurrent = {
  recurrentBatchNorm: lstm(normalizeColumns),
  recurrentBatchNormStep: lstmStep(keeping(false, 0.1)),
  layerNormLSTM: lstm(normalizeRows),
  layerNormLSTMStep: lstmStep(keeping(true, 1)),
};
