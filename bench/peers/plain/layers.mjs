/** Loops of the layers. */
import { EPS } from "../../operations/common.mjs";

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

/** Each ghost is a batch of its own. */
function ghostBatchNorm({ x, weight, bias }, y, problem) {
  const { n, c, s } = strides(problem);
  const size = problem.options.ghostBatchSize;
  for (let from = 0; from < n; from += size) {
    const [start, end] = [from * c * s, Math.min(from + size, n) * c * s];
    const shape = [Math.min(size, n - from), c, s];
    batchNorm({ x: x.subarray(start, end), weight, bias }, y.subarray(start, end), { shape, options: {} });
  }
  return { y };
}

function ghostBatchNormBackward({ x, dy, weight }, dx, problem) {
  const { n, c, s } = strides(problem);
  const size = problem.options.ghostBatchSize;
  const dweight = new Float32Array(c);
  const dbias = new Float32Array(c);
  for (let from = 0; from < n; from += size) {
    const [start, end] = [from * c * s, Math.min(from + size, n) * c * s];
    const shape = [Math.min(size, n - from), c, s];
    const part = { x: x.subarray(start, end), dy: dy.subarray(start, end), weight };
    const sums = batchNormBackward(part, dx.subarray(start, end), { shape, options: {} });
    for (let k = 0; k < c; k++) {
      dweight[k] += sums.dweight[k];
      dbias[k] += sums.dbias[k];
    }
  }
  return { dx, dweight, dbias };
}

function batchRenorm({ x, weight, bias, runningMean, runningStd }, y, problem) {
  const { n, c, s } = strides(problem);
  const { mean, rstd } = channelMoments(x, { n, c, s });
  const scale = new Float64Array(c);
  const shift = new Float64Array(c);
  for (let k = 0; k < c; k++) {
    const r = Math.min(Math.max(1 / (rstd[k] * runningStd[k]), 1 / 3), 3);
    const d = Math.min(Math.max((mean[k] - runningMean[k]) / runningStd[k], -5), 5);
    scale[k] = rstd[k] * r * weight[k];
    shift[k] = d * weight[k] + bias[k];
  }
  for (let sample = 0, at = 0; sample < n; sample++) {
    for (let k = 0; k < c; k++) for (let i = 0; i < s; i++, at++) y[at] = (x[at] - mean[k]) * scale[k] + shift[k];
  }
  return { y };
}

/** The corrections r and d are constants. */
function batchRenormBackward({ x, dy, weight, runningMean, runningStd }, dx, problem) {
  const { n, c, s } = strides(problem);
  const { mean, rstd } = channelMoments(x, { n, c, s });
  const sums = new Float64Array(c);
  const products = new Float64Array(c);
  for (let sample = 0, at = 0; sample < n; sample++) {
    for (let k = 0; k < c; k++) {
      for (let i = 0; i < s; i++, at++) {
        sums[k] += dy[at];
        products[k] += dy[at] * (x[at] - mean[k]) * rstd[k];
      }
    }
  }
  const dweight = new Float32Array(c);
  const scale = new Float64Array(c);
  for (let k = 0; k < c; k++) {
    const r = Math.min(Math.max(1 / (rstd[k] * runningStd[k]), 1 / 3), 3);
    const d = Math.min(Math.max((mean[k] - runningMean[k]) / runningStd[k], -5), 5);
    dweight[k] = products[k] * r + sums[k] * d;
    scale[k] = weight[k] * rstd[k] * r;
  }
  const count = n * s;
  for (let sample = 0, at = 0; sample < n; sample++) {
    for (let k = 0; k < c; k++) {
      for (let i = 0; i < s; i++, at++) {
        const xhat = (x[at] - mean[k]) * rstd[k];
        dx[at] = scale[k] * (dy[at] - (sums[k] + xhat * products[k]) / count);
      }
    }
  }
  return { dx, dweight, dbias: sums };
}

function channelMeans(x, { n, c, s }) {
  const mean = new Float64Array(c);
  for (let sample = 0, at = 0; sample < n; sample++) {
    for (let k = 0; k < c; k++) for (let i = 0; i < s; i++) mean[k] += x[at++];
  }
  for (let k = 0; k < c; k++) mean[k] /= n * s;
  return mean;
}

function meanOnlyBatchNorm({ x, bias }, y, problem) {
  const { n, c, s } = strides(problem);
  const mean = channelMeans(x, { n, c, s });
  for (let sample = 0, at = 0; sample < n; sample++) {
    for (let k = 0; k < c; k++) for (let i = 0; i < s; i++, at++) y[at] = x[at] - mean[k] + bias[k];
  }
  return { y };
}

function meanOnlyBatchNormBackward({ dy }, dx, problem) {
  const { n, c, s } = strides(problem);
  const mean = channelMeans(dy, { n, c, s });
  for (let sample = 0, at = 0; sample < n; sample++) {
    for (let k = 0; k < c; k++) for (let i = 0; i < s; i++, at++) dx[at] = dy[at] - mean[k];
  }
  return { dx, dbias: mean.map((value) => value * n * s) };
}

function lpBatchNorm({ x, weight, bias }, y, problem) {
  const { n, c, s } = strides(problem);
  const mean = channelMeans(x, { n, c, s });
  const distance = new Float64Array(c);
  for (let sample = 0, at = 0; sample < n; sample++) {
    for (let k = 0; k < c; k++) for (let i = 0; i < s; i++) distance[k] += Math.abs(x[at++] - mean[k]);
  }
  for (let sample = 0, at = 0; sample < n; sample++) {
    for (let k = 0; k < c; k++) {
      const scale = weight[k] / (distance[k] / (n * s) + EPS);
      for (let i = 0; i < s; i++, at++) y[at] = (x[at] - mean[k]) * scale + bias[k];
    }
  }
  return { y };
}

function lpBatchNormBackward({ x, dy, weight }, dx, problem) {
  const { n, c, s } = strides(problem);
  const mean = channelMeans(x, { n, c, s });
  const distance = new Float64Array(c);
  const signs = new Float64Array(c);
  const sums = new Float64Array(c);
  const products = new Float64Array(c);
  for (let sample = 0, at = 0; sample < n; sample++) {
    for (let k = 0; k < c; k++) {
      for (let i = 0; i < s; i++, at++) {
        const d = x[at] - mean[k];
        distance[k] += Math.abs(d);
        signs[k] += Math.sign(d);
        sums[k] += dy[at];
        products[k] += dy[at] * d;
      }
    }
  }
  const count = n * s;
  const dweight = new Float32Array(c);
  for (let k = 0; k < c; k++) {
    distance[k] = distance[k] / count + EPS;
    dweight[k] = products[k] / distance[k];
  }
  for (let sample = 0, at = 0; sample < n; sample++) {
    for (let k = 0; k < c; k++) {
      const scale = weight[k] / distance[k];
      const slope = products[k] / distance[k] / count;
      for (let i = 0; i < s; i++, at++) {
        const sign = Math.sign(x[at] - mean[k]) - signs[k] / count;
        dx[at] = scale * (dy[at] - sums[k] / count - sign * slope);
      }
    }
  }
  return { dx, dweight, dbias: sums };
}

/** Mean and moment of the batches since the last update and, decaying, of those before; an update after each step. */
function streamingNorm({ x, weight, bias }, y, { shape: [steps, n, c, ...spatial] }) {
  const s = spatial.reduce((a, b) => a * b, 1);
  const size = n * c * s;
  let longMean;
  let longMoment;
  let shortMean;
  let shortMoment;
  for (let t = 0; t < steps; t++) {
    const step = x.subarray(t * size, (t + 1) * size);
    if (t > 0) {
      longMean = longMean ? longMean.map((value, k) => 0.7 * value + 0.3 * shortMean[k]) : shortMean;
      longMoment = longMoment ? longMoment.map((value, k) => 0.7 * value + 0.3 * shortMoment[k]) : shortMoment;
    }
    shortMean = channelMeans(step, { n, c, s });
    const mean = shortMean.map((value, k) => (longMean ? 0.5 * longMean[k] + 0.5 * value : value));
    shortMoment = new Float64Array(c);
    for (let sample = 0, at = 0; sample < n; sample++) {
      for (let k = 0; k < c; k++) for (let i = 0; i < s; i++) shortMoment[k] += (step[at++] - mean[k]) ** 2;
    }
    for (let k = 0; k < c; k++) shortMoment[k] /= n * s;
    const scale = shortMoment.map((value, k) => {
      return weight[k] / Math.sqrt((longMoment ? 0.5 * longMoment[k] + 0.5 * value : value) + EPS);
    });
    for (let sample = 0, at = 0; sample < n; sample++) {
      for (let k = 0; k < c; k++) {
        for (let i = 0; i < s; i++, at++) y[t * size + at] = (step[at] - mean[k]) * scale[k] + bias[k];
      }
    }
  }
  return { y };
}

/** Mean and variance of four batches, here the same one, merged. */
function adaptBatchNorm({ x }, _, problem) {
  const { n, c, s } = strides(problem);
  const mean = new Float64Array(c);
  const variance = new Float64Array(c);
  for (let turn = 0; turn < 4; turn++) {
    for (let sample = 0, at = 0; sample < n; sample++) {
      for (let k = 0; k < c; k++) for (let i = 0; i < s; i++) mean[k] += x[at++];
    }
  }
  for (let k = 0; k < c; k++) mean[k] /= 4 * n * s;
  for (let turn = 0; turn < 4; turn++) {
    for (let sample = 0, at = 0; sample < n; sample++) {
      for (let k = 0; k < c; k++) for (let i = 0; i < s; i++) variance[k] += (x[at++] - mean[k]) ** 2;
    }
  }
  return { mean, variance: variance.map((sum) => sum / (4 * n * s - 1)) };
}

function referenceStatistics({ x }, _, problem) {
  const { n, c, s } = strides(problem);
  const { mean, rstd } = channelMoments(x, { n, c, s });
  return { mean, variance: rstd.map((value) => 1 / value ** 2 - EPS) };
}

function syncBatchNorm(data, y, problem) {
  batchNorm(data, y, problem);
  const half = y.length / 2;
  return { y0: y.subarray(0, half), y1: y.subarray(half) };
}

function syncBatchNormBackward(data, into, problem) {
  const { dx, dweight, dbias } = batchNormBackward(data, into, problem);
  const half = dx.length / 2;
  return { dx0: dx.subarray(0, half), dx1: dx.subarray(half), dweight, dbias };
}

function rmsNormBackward({ x, dy, weight }, dx) {
  const n = weight.length;
  const dweight = new Float32Array(n);
  for (let row = 0; row < x.length; row += n) {
    let squares = 0;
    for (let i = 0; i < n; i++) squares += x[row + i] ** 2;
    const r = 1 / Math.sqrt(squares / n + EPS);
    let sum = 0;
    for (let i = 0; i < n; i++) {
      const xhat = x[row + i] * r;
      sum += dy[row + i] * weight[i] * xhat;
      dweight[i] += dy[row + i] * xhat;
    }
    for (let i = 0; i < n; i++) dx[row + i] = r * (dy[row + i] * weight[i] - (x[row + i] * r * sum) / n);
  }
  return { dx, dweight };
}

/** Forward, then backward, as in one step of training. */
const step = (forward, backward) =>
  function step(data, y, problem) {
    forward(data, y, problem);
    return backward(data, y, problem);
  };

export const layers = {
  layerNorm,
  layerNormBackward,
  layerNormStep: step(layerNorm, layerNormBackward),
  rmsNorm,
  rmsNormBackward,
  batchNormInference,
  batchNorm,
  batchNormBackward,
  batchNormStep: step(batchNorm, batchNormBackward),
  groupNorm,
  groupNormBackward,
  instanceNorm: groupNorm,
  instanceNormBackward: groupNormBackward,
  ghostBatchNorm,
  ghostBatchNormBackward,
  batchRenorm,
  batchRenormBackward,
  meanOnlyBatchNorm,
  meanOnlyBatchNormBackward,
  lpBatchNorm,
  lpBatchNormBackward,
  streamingNorm,
  adaptBatchNorm,
  referenceStatistics,
  syncBatchNorm,
  syncBatchNormBackward,
};
