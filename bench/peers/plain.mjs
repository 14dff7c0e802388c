/** The loops that people write when they have no library: one value after the other, sums in f64. */
import { EPS } from "../operations.mjs";

export const name = "plain loop";

/** Mean and 1/√(var + eps) of x[at + i·stride] for i < n. */
function moments(x, at, n, stride) {
  let sum = 0;
  for (let i = 0; i < n; i++) sum += x[at + i * stride];
  const mean = sum / n;
  let squares = 0;
  for (let i = 0; i < n; i++) squares += (x[at + i * stride] - mean) ** 2;
  return { mean, rstd: 1 / Math.sqrt(squares / n + EPS) };
}

function layerNorm({ x, weight, bias }, y) {
  const n = weight.length;
  for (let row = 0; row < x.length; row += n) {
    const { mean, rstd } = moments(x, row, n, 1);
    for (let i = 0; i < n; i++) y[row + i] = (x[row + i] - mean) * rstd * weight[i] + bias[i];
  }
  return { y };
}

function layerNormBackward({ x, dy, weight }, dx) {
  const n = weight.length;
  const dweight = new Float32Array(n);
  const dbias = new Float32Array(n);
  for (let row = 0; row < x.length; row += n) {
    const { mean, rstd } = moments(x, row, n, 1);
    let sum = 0;
    let sumX = 0;
    for (let i = 0; i < n; i++) {
      const xhat = (x[row + i] - mean) * rstd;
      const g = dy[row + i] * weight[i];
      sum += g;
      sumX += g * xhat;
      dweight[i] += dy[row + i] * xhat;
      dbias[i] += dy[row + i];
    }
    for (let i = 0; i < n; i++) {
      const xhat = (x[row + i] - mean) * rstd;
      dx[row + i] = rstd * (dy[row + i] * weight[i] - sum / n - (xhat * sumX) / n);
    }
  }
  return { dx, dweight, dbias };
}

function rmsNorm({ x, weight }, y) {
  const n = weight.length;
  for (let row = 0; row < x.length; row += n) {
    let squares = 0;
    for (let i = 0; i < n; i++) squares += x[row + i] ** 2;
    const r = 1 / Math.sqrt(squares / n + EPS);
    for (let i = 0; i < n; i++) y[row + i] = x[row + i] * r * weight[i];
  }
  return { y };
}

/** How x[n, c, s] is stored: distances between samples, channels and positions. */
function strides({ shape, options }) {
  if (options.layout === "channels-last") {
    const c = shape.at(-1);
    const s = shape.slice(1, -1).reduce((a, b) => a * b, 1);
    return { n: shape[0], c, s, perN: s * c, perC: 1, perS: c };
  }
  const s = shape.slice(2).reduce((a, b) => a * b, 1);
  return { n: shape[0], c: shape[1], s, perN: shape[1] * s, perC: s, perS: 1 };
}

function batchNormInference({ x, weight, bias, runningMean, runningVar }, y, problem) {
  const { n, c, s, perN, perC, perS } = strides(problem);
  const scale = weight.map((w, channel) => w / Math.sqrt(runningVar[channel] + EPS));
  const shift = bias.map((b, channel) => b - runningMean[channel] * scale[channel]);
  // The inner loop runs over what lies side by side.
  for (let sample = 0; sample < n; sample++) {
    if (perC === 1) {
      for (let at = sample * perN; at < (sample + 1) * perN; at += c) {
        for (let channel = 0; channel < c; channel++)
          y[at + channel] = x[at + channel] * scale[channel] + shift[channel];
      }
    } else {
      for (let channel = 0; channel < c; channel++) {
        const at = sample * perN + channel * perC;
        for (let i = 0; i < s; i++) y[at + i * perS] = x[at + i * perS] * scale[channel] + shift[channel];
      }
    }
  }
  return { y };
}

/** Mean and 1/√(var + eps) of each channel of [n, c, s] over samples and positions, read in the order of memory. */
function channelMoments(x, { n, c, s }) {
  const mean = new Float64Array(c);
  const rstd = new Float64Array(c);
  for (let sample = 0, at = 0; sample < n; sample++) {
    for (let k = 0; k < c; k++) for (let i = 0; i < s; i++) mean[k] += x[at++];
  }
  for (let k = 0; k < c; k++) mean[k] /= n * s;
  for (let sample = 0, at = 0; sample < n; sample++) {
    for (let k = 0; k < c; k++) for (let i = 0; i < s; i++) rstd[k] += (x[at++] - mean[k]) ** 2;
  }
  for (let k = 0; k < c; k++) rstd[k] = 1 / Math.sqrt(rstd[k] / (n * s) + EPS);
  return { mean, rstd };
}

function batchNorm({ x, weight, bias }, y, problem) {
  const { n, c, s } = strides(problem);
  const { mean, rstd } = channelMoments(x, { n, c, s });
  for (let sample = 0, at = 0; sample < n; sample++) {
    for (let k = 0; k < c; k++) {
      const scale = rstd[k] * weight[k];
      for (let i = 0; i < s; i++, at++) y[at] = (x[at] - mean[k]) * scale + bias[k];
    }
  }
  return { y };
}

function batchNormBackward({ x, dy, weight }, dx, problem) {
  const { n, c, s } = strides(problem);
  const { mean, rstd } = channelMoments(x, { n, c, s });
  const dweight = new Float32Array(c);
  const dbias = new Float32Array(c);
  for (let sample = 0, at = 0; sample < n; sample++) {
    for (let k = 0; k < c; k++) {
      for (let i = 0; i < s; i++, at++) {
        dweight[k] += dy[at] * (x[at] - mean[k]) * rstd[k];
        dbias[k] += dy[at];
      }
    }
  }
  const count = n * s;
  for (let sample = 0, at = 0; sample < n; sample++) {
    for (let k = 0; k < c; k++) {
      const scale = weight[k] * rstd[k];
      for (let i = 0; i < s; i++, at++) {
        const xhat = (x[at] - mean[k]) * rstd[k];
        dx[at] = scale * (dy[at] - (dbias[k] + xhat * dweight[k]) / count);
      }
    }
  }
  return { dx, dweight, dbias };
}

/** Group norm, or instance norm where every channel is a group. */
function groupNorm({ x, weight, bias }, y, problem) {
  const { n, c, s } = strides(problem);
  const perGroup = c / (problem.options.numGroups ?? c);
  for (let at = 0; at < n * c * s; at += perGroup * s) {
    const { mean, rstd } = moments(x, at, perGroup * s, 1);
    for (let k = 0; k < perGroup; k++) {
      const channel = (at / s + k) % c;
      const from = at + k * s;
      for (let i = from; i < from + s; i++) y[i] = (x[i] - mean) * rstd * weight[channel] + bias[channel];
    }
  }
  return { y };
}

function groupNormBackward({ x, dy, weight }, dx, problem) {
  const { n, c, s } = strides(problem);
  const perGroup = c / (problem.options.numGroups ?? c);
  const dweight = new Float32Array(c);
  const dbias = new Float32Array(c);
  for (let at = 0; at < n * c * s; at += perGroup * s) {
    const { mean, rstd } = moments(x, at, perGroup * s, 1);
    const firstChannel = (at / s) % c;
    let sum = 0;
    let sumX = 0;
    for (let k = 0; k < perGroup; k++) {
      const channel = firstChannel + k;
      for (let i = at + k * s; i < at + (k + 1) * s; i++) {
        const xhat = (x[i] - mean) * rstd;
        sum += dy[i] * weight[channel];
        sumX += dy[i] * weight[channel] * xhat;
        dweight[channel] += dy[i] * xhat;
        dbias[channel] += dy[i];
      }
    }
    for (let k = 0; k < perGroup; k++) {
      for (let i = at + k * s; i < at + (k + 1) * s; i++) {
        const xhat = (x[i] - mean) * rstd;
        dx[i] = rstd * (dy[i] * weight[firstChannel + k] - (sum + xhat * sumX) / (perGroup * s));
      }
    }
  }
  return { dx, dweight, dbias };
}

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

/**
 * The order i, p, j, which reads rows of b, is what a careful author writes; a transposed b is read as rows of its own.
 */
function matmul({ a, b }, y, { shape: [n], options: { transposeA, transposeB } }) {
  if (transposeB) {
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) {
        let sum = 0;
        for (let p = 0; p < n; p++) sum += a[i * n + p] * b[j * n + p];
        y[i * n + j] = sum;
      }
    }
    return { y };
  }
  y.fill(0);
  for (let i = 0; i < n; i++) {
    for (let p = 0; p < n; p++) {
      const factor = transposeA ? a[p * n + i] : a[i * n + p];
      for (let j = 0; j < n; j++) y[i * n + j] += factor * b[p * n + j];
    }
  }
  return { y };
}

export const operations = {
  layerNorm,
  layerNormBackward,
  rmsNorm,
  batchNormInference,
  batchNorm,
  batchNormBackward,
  groupNorm,
  groupNormBackward,
  instanceNorm: groupNorm,
  instanceNormBackward: groupNormBackward,
  standardScaler,
  standardScalerFit,
  unitRows,
  matmul,
};

/** In place "tensor" the result is written to an array that is there, in place "heap" to a fresh one, as ours are. */
export function contestant(loop, problem) {
  const data = Object.fromEntries(Object.entries(problem.inputs).map(([key, value]) => [key, value.data]));
  const { length } = data.x ?? data.a;
  const kept = problem.where === "tensor" ? new Float32Array(length) : undefined;
  const run = () => loop(data, kept ?? new Float32Array(length), problem);
  return { run, result: run };
}
