/** Loops of the layers whose statistics are of a sample's channels, or mixed, or of a neighbourhood. */
import { EPS } from "../../operations/common.mjs";

/** [n, c, ...spatial] as n, c, s. */
const sizes = ({ shape: [n, c, ...spatial] }) => ({ n, c, s: spatial.reduce((a, b) => a * b, 1) });

/** Mean and variance of each channel of each sample. */
function cellMoments(x, cells, s) {
  const mean = new Float64Array(cells);
  const variance = new Float64Array(cells);
  for (let cell = 0; cell < cells; cell++) {
    let sum = 0;
    for (let i = cell * s; i < (cell + 1) * s; i++) sum += x[i];
    mean[cell] = sum / s;
    let squares = 0;
    for (let i = cell * s; i < (cell + 1) * s; i++) squares += (x[i] - mean[cell]) ** 2;
    variance[cell] = squares / s;
  }
  return { mean, variance };
}

/** Mean and variance of sets of cells of equal size: `setOf(cell)` is one of `count`. */
function mergeCells({ mean, variance }, count, setOf) {
  const size = mean.length / count;
  const means = new Float64Array(count);
  const variances = new Float64Array(count);
  for (let cell = 0; cell < mean.length; cell++) means[setOf(cell)] += mean[cell] / size;
  for (let cell = 0; cell < mean.length; cell++) {
    variances[setOf(cell)] += (variance[cell] + (mean[cell] - means[setOf(cell)]) ** 2) / size;
  }
  return { mean: means, variance: variances };
}

/** Σdy and Σdy·(x − mean) of each cell. */
function cellSums(x, dy, mean, s) {
  const sums = new Float64Array(mean.length);
  const products = new Float64Array(mean.length);
  for (let cell = 0; cell < mean.length; cell++) {
    let sum = 0;
    let product = 0;
    for (let i = cell * s; i < (cell + 1) * s; i++) {
      sum += dy[i];
      product += dy[i] * (x[i] - mean[cell]);
    }
    sums[cell] = sum;
    products[cell] = product;
  }
  return { sums, products };
}

const rstdOf = (variance) => variance.map((value) => 1 / Math.sqrt(value + EPS));

function batchInstanceNorm({ x, weight, bias, rho }, y, problem) {
  const { n, c, s } = sizes(problem);
  const cells = cellMoments(x, n * c, s);
  const batch = mergeCells(cells, c, (cell) => cell % c);
  const [own, shared] = [rstdOf(cells.variance), rstdOf(batch.variance)];
  for (let cell = 0; cell < n * c; cell++) {
    const k = cell % c;
    for (let i = cell * s; i < (cell + 1) * s; i++) {
      const ofBatch = (x[i] - batch.mean[k]) * shared[k];
      const ofInstance = (x[i] - cells.mean[cell]) * own[cell];
      y[i] = (rho[k] * ofBatch + (1 - rho[k]) * ofInstance) * weight[k] + bias[k];
    }
  }
  return { y };
}

function batchInstanceNormBackward({ x, dy, weight, rho }, dx, problem) {
  const { n, c, s } = sizes(problem);
  const cells = cellMoments(x, n * c, s);
  const batch = mergeCells(cells, c, (cell) => cell % c);
  const [own, shared] = [rstdOf(cells.variance), rstdOf(batch.variance)];
  const { sums, products } = cellSums(x, dy, cells.mean, s);
  const dbias = new Float64Array(c);
  const ofBatch = new Float64Array(c);
  const ofInstance = new Float64Array(c);
  for (let cell = 0; cell < n * c; cell++) {
    const k = cell % c;
    dbias[k] += sums[cell];
    ofBatch[k] += (products[cell] + sums[cell] * (cells.mean[cell] - batch.mean[k])) * shared[k];
    ofInstance[k] += products[cell] * own[cell];
  }
  for (let cell = 0; cell < n * c; cell++) {
    const k = cell % c;
    const toBatch = rho[k] * weight[k] * shared[k];
    const toInstance = (1 - rho[k]) * weight[k] * own[cell];
    for (let i = cell * s; i < (cell + 1) * s; i++) {
      const inBatch = (x[i] - batch.mean[k]) * shared[k];
      const inInstance = (x[i] - cells.mean[cell]) * own[cell];
      dx[i] =
        toBatch * (dy[i] - (dbias[k] + inBatch * ofBatch[k]) / (n * s)) +
        toInstance * (dy[i] - (sums[cell] + inInstance * products[cell] * own[cell]) / s);
    }
  }
  const dweight = dbias.map((_, k) => rho[k] * ofBatch[k] + (1 - rho[k]) * ofInstance[k]);
  const drho = dbias.map((_, k) => weight[k] * (ofBatch[k] - ofInstance[k]));
  return { dx, dweight, dbias, drho };
}

function softmax(logits) {
  const largest = Math.max(...logits);
  const powers = Array.from(logits, (value) => Math.exp(value - largest));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((value) => value / sum);
}

/** Statistics of instance, layer and batch, their shares, and the mixture for each cell. */
function switched({ x, meanLogits, varLogits }, { n, c, s }) {
  const cells = cellMoments(x, n * c, s);
  const kinds = [
    { ...cells, setOf: (cell) => cell, count: s },
    { ...mergeCells(cells, n, (cell) => Math.floor(cell / c)), setOf: (cell) => Math.floor(cell / c), count: c * s },
    { ...mergeCells(cells, c, (cell) => cell % c), setOf: (cell) => cell % c, count: n * s },
  ];
  const [ofMean, ofVariance] = [softmax(meanLogits), softmax(varLogits)];
  const mean = new Float64Array(n * c);
  const variance = new Float64Array(n * c);
  for (let cell = 0; cell < n * c; cell++) {
    for (let kind = 0; kind < 3; kind++) {
      const set = kinds[kind].setOf(cell);
      mean[cell] += ofMean[kind] * kinds[kind].mean[set];
      variance[cell] += ofVariance[kind] * kinds[kind].variance[set];
    }
  }
  return { kinds, ofMean, ofVariance, mean, rstd: rstdOf(variance) };
}

function switchableNorm({ weight, bias, ...data }, y, problem) {
  const { n, c, s } = sizes(problem);
  const { mean, rstd } = switched(data, { n, c, s });
  for (let cell = 0; cell < n * c; cell++) {
    const k = cell % c;
    for (let i = cell * s; i < (cell + 1) * s; i++) {
      y[i] = (data.x[i] - mean[cell]) * rstd[cell] * weight[k] + bias[k];
    }
  }
  return { y };
}

function switchableNormBackward({ dy, weight, ...data }, dx, problem) {
  const { n, c, s } = sizes(problem);
  const { kinds, ofMean, ofVariance, mean, rstd } = switched(data, { n, c, s });
  const { x } = data;
  const { sums, products } = cellSums(x, dy, mean, s);
  const dweight = new Float64Array(c);
  const dbias = new Float64Array(c);
  const toMeans = kinds.map((kind) => new Float64Array(kind.mean.length));
  const toVariances = kinds.map((kind) => new Float64Array(kind.mean.length));
  for (let cell = 0; cell < n * c; cell++) {
    const k = cell % c;
    dweight[k] += products[cell] * rstd[cell];
    dbias[k] += sums[cell];
    for (let kind = 0; kind < 3; kind++) {
      const set = kinds[kind].setOf(cell);
      toMeans[kind][set] -= weight[k] * rstd[cell] * sums[cell];
      toVariances[kind][set] -= 0.5 * weight[k] * rstd[cell] ** 3 * products[cell];
    }
  }
  for (let cell = 0; cell < n * c; cell++) {
    // Slope and constant of the way through the statistics, which are linear in x.
    let slope = 0;
    let constant = 0;
    for (let kind = 0; kind < 3; kind++) {
      const { setOf, count, mean: means } = kinds[kind];
      const set = setOf(cell);
      const steep = (2 * ofVariance[kind] * toVariances[kind][set]) / count;
      slope += steep;
      constant += (ofMean[kind] * toMeans[kind][set]) / count - steep * means[set];
    }
    const scale = weight[cell % c] * rstd[cell];
    for (let i = cell * s; i < (cell + 1) * s; i++) dx[i] = dy[i] * scale + x[i] * slope + constant;
  }
  const logits = (shares, gradients, key) => {
    const to = gradients.map((sets, kind) => sets.reduce((sum, value, set) => sum + value * kinds[kind][key][set], 0));
    const total = to.reduce((sum, value, kind) => sum + value * shares[kind], 0);
    return shares.map((share, kind) => share * (to[kind] - total));
  };
  const dmeanLogits = logits(ofMean, toMeans, "mean");
  const dvarLogits = logits(ofVariance, toVariances, "variance");
  return { dx, dweight, dbias, dmeanLogits, dvarLogits };
}

/** The share of a sample beside three of the reference. */
const OWN = 1 / 4;

/** Statistics of each sample together with the reference. */
function virtual({ x, runningMean, runningVar }, { n, c, s }) {
  const cells = cellMoments(x, n * c, s);
  const mean = cells.mean.map((value, cell) => OWN * value + (1 - OWN) * runningMean[cell % c]);
  const variance = cells.variance.map((value, cell) => {
    const apart = cells.mean[cell] - runningMean[cell % c];
    return OWN * value + (1 - OWN) * runningVar[cell % c] + OWN * (1 - OWN) * apart * apart;
  });
  return { cells, mean, rstd: rstdOf(variance) };
}

function virtualBatchNorm({ weight, bias, ...data }, y, problem) {
  const { n, c, s } = sizes(problem);
  const { mean, rstd } = virtual(data, { n, c, s });
  for (let cell = 0; cell < n * c; cell++) {
    const scale = rstd[cell] * weight[cell % c];
    for (let i = cell * s; i < (cell + 1) * s; i++) y[i] = (data.x[i] - mean[cell]) * scale + bias[cell % c];
  }
  return { y };
}

function virtualBatchNormBackward({ dy, weight, ...data }, dx, problem) {
  const { n, c, s } = sizes(problem);
  const { x, runningMean } = data;
  const { cells, mean, rstd } = virtual(data, { n, c, s });
  const { sums, products } = cellSums(x, dy, mean, s);
  const dweight = new Float64Array(c);
  const dbias = new Float64Array(c);
  for (let cell = 0; cell < n * c; cell++) {
    const k = cell % c;
    dweight[k] += products[cell] * rstd[cell];
    dbias[k] += sums[cell];
    const toMean = -weight[k] * rstd[cell] * sums[cell];
    const toVariance = -0.5 * weight[k] * rstd[cell] ** 3 * products[cell];
    const scale = weight[k] * rstd[cell];
    const slope = (2 * OWN * toVariance) / s;
    const apart = cells.mean[cell] - runningMean[k];
    const constant = (OWN * toMean + 2 * OWN * (1 - OWN) * toVariance * apart) / s - slope * cells.mean[cell];
    for (let i = cell * s; i < (cell + 1) * s; i++) dx[i] = dy[i] * scale + x[i] * slope + constant;
  }
  return { dx, dweight, dbias };
}

function adaIN({ x, style }, y, problem) {
  const { n, c, s } = sizes(problem);
  const content = cellMoments(x, n * c, s);
  const wanted = cellMoments(style, n * c, s);
  for (let cell = 0; cell < n * c; cell++) {
    const scale = Math.sqrt((wanted.variance[cell] + EPS) / (content.variance[cell] + EPS));
    for (let i = cell * s; i < (cell + 1) * s; i++) y[i] = (x[i] - content.mean[cell]) * scale + wanted.mean[cell];
  }
  return { y };
}

function adaINBackward({ x, style, dy }, dx, problem) {
  const { n, c, s } = sizes(problem);
  const content = cellMoments(x, n * c, s);
  const wanted = cellMoments(style, n * c, s);
  const { sums, products } = cellSums(x, dy, content.mean, s);
  const dstyle = new Float32Array(x.length);
  for (let cell = 0; cell < n * c; cell++) {
    const r = 1 / Math.sqrt(content.variance[cell] + EPS);
    const deviation = Math.sqrt(wanted.variance[cell] + EPS);
    for (let i = cell * s; i < (cell + 1) * s; i++) {
      const xhat = (x[i] - content.mean[cell]) * r;
      dx[i] = deviation * r * (dy[i] - (sums[cell] + xhat * products[cell] * r) / s);
      dstyle[i] = (sums[cell] + (products[cell] * r * (style[i] - wanted.mean[cell])) / deviation) / s;
    }
  }
  return { dx, dstyle };
}

/** PyTorch's defaults and window. */
const LRN = { size: 5, alpha: 1e-4, beta: 0.75, k: 1 };

function localResponseNorm({ x }, y, problem) {
  const { n, c, s } = sizes(problem);
  for (let sample = 0; sample < n * c * s; sample += c * s) {
    for (let channel = 0; channel < c; channel++) {
      const [first, last] = [Math.max(0, channel - 2), Math.min(c - 1, channel + 2)];
      for (let i = 0; i < s; i++) {
        let sum = 0;
        for (let other = first; other <= last; other++) sum += x[sample + other * s + i] ** 2;
        const at = sample + channel * s + i;
        y[at] = x[at] / (LRN.k + (LRN.alpha / LRN.size) * sum) ** LRN.beta;
      }
    }
  }
  return { y };
}

function localResponseNormBackward({ x, dy }, dx, problem) {
  const { n, c, s } = sizes(problem);
  const share = LRN.alpha / LRN.size;
  const base = new Float64Array(c * s);
  for (let sample = 0; sample < n * c * s; sample += c * s) {
    for (let channel = 0; channel < c; channel++) {
      const [first, last] = [Math.max(0, channel - 2), Math.min(c - 1, channel + 2)];
      for (let i = 0; i < s; i++) {
        let sum = 0;
        for (let other = first; other <= last; other++) sum += x[sample + other * s + i] ** 2;
        base[channel * s + i] = LRN.k + share * sum;
      }
    }
    for (let channel = 0; channel < c; channel++) {
      const [first, last] = [Math.max(0, channel - 2), Math.min(c - 1, channel + 2)];
      for (let i = 0; i < s; i++) {
        let sum = 0;
        for (let other = first; other <= last; other++) {
          const at = other * s + i;
          sum += dy[sample + at] * x[sample + at] * base[at] ** (-LRN.beta - 1);
        }
        const at = channel * s + i;
        dx[sample + at] = dy[sample + at] * base[at] ** -LRN.beta - 2 * share * LRN.beta * x[sample + at] * sum;
      }
    }
  }
  return { dx };
}

/** Half the side of divisive norm's window. */
const REACH = 2;

/** Sums over windows of positions, divided by the elements that a window has in all channels. */
function boxMeans(values, h, w, c) {
  const means = new Float64Array(h * w);
  for (let i = 0; i < h; i++) {
    for (let j = 0; j < w; j++) {
      let sum = 0;
      for (let p = Math.max(0, i - REACH); p <= Math.min(h - 1, i + REACH); p++) {
        for (let q = Math.max(0, j - REACH); q <= Math.min(w - 1, j + REACH); q++) sum += values[p * w + q];
      }
      means[i * w + j] = sum / (c * (2 * REACH + 1) ** 2);
    }
  }
  return means;
}

/** One sample about the means of its windows, into v; gives the roots of σ² and the windows' mean squares. */
function centered(x, from, v, c, h, w) {
  const s = h * w;
  const sums = new Float64Array(s);
  for (let k = 0; k < c; k++) for (let i = 0; i < s; i++) sums[i] += x[from + k * s + i];
  const means = boxMeans(sums, h, w, c);
  const squares = new Float64Array(s);
  for (let k = 0; k < c; k++) {
    for (let i = 0; i < s; i++) {
      const d = x[from + k * s + i] - means[i];
      v[k * s + i] = d;
      squares[i] += d * d;
    }
  }
  return boxMeans(squares, h, w, c).map((value) => Math.sqrt(1 + value));
}

function divisiveNorm({ x }, y, { shape: [n, c, h, w] }) {
  const s = h * w;
  const v = new Float64Array(c * s);
  for (let from = 0; from < n * c * s; from += c * s) {
    const roots = centered(x, from, v, c, h, w);
    for (let k = 0; k < c; k++) for (let i = 0; i < s; i++) y[from + k * s + i] = v[k * s + i] / roots[i];
  }
  return { y };
}

function divisiveNormBackward({ x, dy }, dx, { shape: [n, c, h, w] }) {
  const s = h * w;
  const v = new Float64Array(c * s);
  for (let from = 0; from < n * c * s; from += c * s) {
    const roots = centered(x, from, v, c, h, w);
    const along = new Float64Array(s);
    for (let k = 0; k < c; k++) {
      for (let i = 0; i < s; i++) along[i] += (dy[from + k * s + i] * v[k * s + i]) / roots[i] ** 3;
    }
    const back = boxMeans(along, h, w, c);
    const sums = new Float64Array(s);
    for (let k = 0; k < c; k++) {
      for (let i = 0; i < s; i++) {
        v[k * s + i] = dy[from + k * s + i] / roots[i] - v[k * s + i] * back[i];
        sums[i] += v[k * s + i];
      }
    }
    const means = boxMeans(sums, h, w, c);
    for (let k = 0; k < c; k++) for (let i = 0; i < s; i++) dx[from + k * s + i] = v[k * s + i] - means[i];
  }
  return { dx };
}

export const mixtures = {
  batchInstanceNorm,
  batchInstanceNormBackward,
  switchableNorm,
  switchableNormBackward,
  virtualBatchNorm,
  virtualBatchNormBackward,
  adaIN,
  adaINBackward,
  localResponseNorm,
  localResponseNormBackward,
  divisiveNorm,
  divisiveNormBackward,
};
