/** Loops over weights, and of the activations of networks that normalize themselves. */
import { EPS } from "../../operations/common.mjs";
import { inverseLengths, rotateRows } from "./products.mjs";

const rowsOf = ({ shape }) => [shape[0], shape.slice(1).reduce((a, b) => a * b, 1)];

function weightNorm({ x, g }, y, problem) {
  const [rows, n] = rowsOf(problem);
  for (let row = 0; row < rows; row++) {
    let sum = 0;
    for (let i = row * n; i < (row + 1) * n; i++) sum += x[i] * x[i];
    const scale = g[row] / Math.sqrt(sum);
    for (let i = row * n; i < (row + 1) * n; i++) y[i] = x[i] * scale;
  }
  return { y };
}

function weightNormBackward({ x, g, dy }, dx, problem) {
  const [rows, n] = rowsOf(problem);
  const dg = new Float32Array(rows);
  for (let row = 0; row < rows; row++) {
    let sum = 0;
    let along = 0;
    for (let i = row * n; i < (row + 1) * n; i++) {
      sum += x[i] * x[i];
      along += dy[i] * x[i];
    }
    const inverse = 1 / Math.sqrt(sum);
    dg[row] = along * inverse;
    for (let i = row * n; i < (row + 1) * n; i++) dx[i] = g[row] * inverse * (dy[i] - x[i] * dg[row] * inverse);
  }
  return { dx, dg };
}

function unitNorm({ x }, y, problem) {
  return weightNorm({ x, g: new Float32Array(problem.shape[0]).fill(1) }, y, problem);
}

function unitNormBackward({ x, dy }, dx, problem) {
  weightNormBackward({ x, g: new Float32Array(problem.shape[0]).fill(1), dy }, dx, problem);
  return { dx };
}

/** t is [n, units]. */
function weightNormInit({ x }, y, { shape: [n, c] }) {
  const mean = new Float64Array(c);
  const squares = new Float64Array(c);
  for (let row = 0; row < n; row++) for (let j = 0; j < c; j++) mean[j] += x[row * c + j];
  for (let j = 0; j < c; j++) mean[j] /= n;
  for (let row = 0; row < n; row++) for (let j = 0; j < c; j++) squares[j] += (x[row * c + j] - mean[j]) ** 2;
  const g = squares.map((sum) => 1 / Math.sqrt(sum / n + 1e-10));
  for (let row = 0; row < n; row++) for (let j = 0; j < c; j++) y[row * c + j] = (x[row * c + j] - mean[j]) * g[j];
  return { g, bias: g.map((value, j) => -mean[j] * value), y };
}

/** v = Wᵀu and u = W·v, brought to length 1. */
function powerStep(x, u, rows, n) {
  const v = new Float64Array(n);
  for (let i = 0; i < rows; i++) for (let j = 0; j < n; j++) v[j] += x[i * n + j] * u[i];
  const right = v.map((value) => value * inverseLengths(v, 1, n)[0]);
  const left = new Float64Array(rows);
  for (let i = 0; i < rows; i++) {
    let sum = 0;
    for (let j = 0; j < n; j++) sum += x[i * n + j] * right[j];
    left[i] = sum;
  }
  const sigma = 1 / inverseLengths(left, 1, rows)[0];
  return { u: left.map((value) => value / sigma), v: right, sigma };
}

function spectralNorm({ x, u }, y, problem) {
  const [rows, n] = rowsOf(problem);
  const found = powerStep(x, u, rows, n);
  const scale = 1 / found.sigma;
  for (let i = 0; i < x.length; i++) y[i] = x[i] * scale;
  return { y, u: found.u, v: found.v };
}

/** The forward pass was before: u, v and sigma are there. */
const known = new WeakMap();
function spectralNormBackward({ x, u, dy }, dx, problem) {
  const [rows, n] = rowsOf(problem);
  if (!known.has(x)) known.set(x, powerStep(x, u, rows, n));
  const found = known.get(x);
  let along = 0;
  for (let i = 0; i < x.length; i++) along += dy[i] * x[i];
  along /= found.sigma;
  for (let i = 0; i < rows; i++) {
    const factor = along * found.u[i];
    for (let j = 0; j < n; j++) dx[i * n + j] = (dy[i * n + j] - factor * found.v[j]) / found.sigma;
  }
  return { dx };
}

function singularValueBounding({ x }, y, problem) {
  const [rows, n] = rowsOf(problem);
  const turned = Float64Array.from(x);
  const turns = new Float64Array(rows * rows);
  for (let i = 0; i < rows; i++) turns[i * rows + i] = 1;
  rotateRows(turned, turns, rows, n);
  const inverse = inverseLengths(turned, rows, n);
  y.fill(0);
  for (let value = 0; value < rows; value++) {
    const length = 1 / inverse[value];
    const factor = Math.min(Math.max(length, 1 / 1.2), 1.2) * inverse[value];
    for (let i = 0; i < rows; i++) {
      const share = turns[value * rows + i] * factor;
      for (let j = 0; j < n; j++) y[i * n + j] += share * turned[value * n + j];
    }
  }
  return { y };
}

/** Box and Muller's normal numbers. */
const normal = () => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());

/** Gram and Schmidt, in the modified form. */
function orthogonal(_, q, { shape: [rows, n] }) {
  for (let i = 0; i < q.length; i++) q[i] = normal();
  for (let row = 0; row < rows; row++) {
    for (let turn = 0; turn < 2; turn++) {
      for (let other = 0; other < row; other++) {
        let along = 0;
        for (let i = 0; i < n; i++) along += q[row * n + i] * q[other * n + i];
        for (let i = 0; i < n; i++) q[row * n + i] -= along * q[other * n + i];
      }
    }
    const inverse = inverseLengths(q.subarray(row * n, (row + 1) * n), 1, n)[0];
    for (let i = row * n; i < (row + 1) * n; i++) q[i] *= inverse;
  }
  return { q };
}

function lecunNormal(_, q, problem) {
  const deviation = rowsOf(problem)[1] ** -0.5;
  for (let i = 0; i < q.length; i++) q[i] = normal() * deviation;
  return { q };
}

function coherence({ x }, _, problem) {
  const [rows, n] = rowsOf(problem);
  const inverse = inverseLengths(x, rows, n);
  let largest = 0;
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < i; j++) {
      let sum = 0;
      for (let p = 0; p < n; p++) sum += x[i * n + p] * x[j * n + p];
      largest = Math.max(largest, Math.abs(sum) * inverse[i] * inverse[j]);
    }
  }
  return { y: [largest] };
}

function foldBatchNorm({ x, weight, bias, runningMean, runningVar }, y, problem) {
  const [rows, n] = rowsOf(problem);
  const shift = new Float32Array(rows);
  for (let row = 0; row < rows; row++) {
    const scale = weight[row] / Math.sqrt(runningVar[row] + EPS);
    shift[row] = bias[row] - runningMean[row] * scale;
    for (let i = row * n; i < (row + 1) * n; i++) y[i] = x[i] * scale;
  }
  return { y, shift };
}

function boundedBatchNorm({ x, runningVar }, y) {
  const ratio = Array.from(x, (value, c) => value / Math.sqrt(runningVar[c] + EPS));
  const mean = ratio.reduce((sum, value) => sum + value, 0) / x.length;
  for (let c = 0; c < x.length; c++) {
    y[c] = Math.min(Math.max(ratio[c], mean / 2), mean * 2) * Math.sqrt(runningVar[c] + EPS);
  }
  return { y };
}

const LAMBDA = 1.0507009873554805;
const ALPHA = 1.6732632423543772;

function selu({ x }, y) {
  for (let i = 0; i < x.length; i++) y[i] = x[i] > 0 ? LAMBDA * x[i] : LAMBDA * ALPHA * Math.expm1(x[i]);
  return { y };
}

function seluBackward({ x, dy }, dx) {
  for (let i = 0; i < x.length; i++) dx[i] = dy[i] * (x[i] > 0 ? LAMBDA : LAMBDA * ALPHA * Math.exp(x[i]));
  return { dx };
}

const KEPT = 0.9;
const LOW = -LAMBDA * ALPHA;
const GAIN = 1 / Math.sqrt(KEPT + LOW * LOW * KEPT * (1 - KEPT));

function alphaDropout({ x }, q) {
  const shift = -GAIN * (1 - KEPT) * LOW;
  for (let i = 0; i < x.length; i++) q[i] = GAIN * (Math.random() < KEPT ? x[i] : LOW) + shift;
  return { q };
}

/** Every tenth is dropped, as the case has it. */
const masks = new WeakMap();
function alphaDropoutBackward({ x, dy }, dx) {
  if (!masks.has(x))
    masks.set(
      x,
      Uint8Array.from(x, (_, i) => (i % 10 === 3 ? 0 : 1)),
    );
  const keep = masks.get(x);
  for (let i = 0; i < dy.length; i++) dx[i] = keep[i] ? GAIN * dy[i] : 0;
  return { dx };
}

export const weights = {
  weightNorm,
  weightNormBackward,
  weightNormInit,
  unitNorm,
  unitNormBackward,
  spectralNorm,
  spectralNormBackward,
  singularValueBounding,
  orthogonal,
  lecunNormal,
  coherence,
  foldBatchNorm,
  boundedBatchNorm,
  selu,
  seluBackward,
  alphaDropout,
  alphaDropoutBackward,
};
