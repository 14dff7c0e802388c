/** Matrix products, and what is made of them: decompositions, linear layers, convolutions, recurrent cells. */
import * as api from "../../dist/index.js";
import { elements, random } from "../data.mjs";
import { EPS, functions } from "./common.mjs";

/** A matrix plus its transpose. */
function symmetric({ data, shape }) {
  const [n] = shape;
  return { data: data.map((value, i) => value + data[(i % n) * n + Math.floor(i / n)]), shape };
}

/** Rows of `inputs` features for a linear layer of `units`. */
const linearInputs = ({ shape: [n, features], units }) => ({
  x: random([n, features], { seed: 1 }),
  w: random([units, features], { seed: 2 }),
  gamma: random([units], { mean: 1, deviation: 0.2, seed: 3 }),
  beta: random([units], { deviation: 0.2, seed: 5 }),
});
/** Images for a convolution with windows of 3 by 3. */
const convInputs = ({ shape, units }) => ({
  ...linearInputs({ shape, units }),
  x: random(shape, { seed: 1 }),
  w: random([units, shape[1], 3, 3], { seed: 2 }),
});
const linearOut = ({ shape: [n], units }) => [n, units];
const convOut = ({ shape: [n, , h, w], units }) => [n, units, h, w];
const linearFlops = ({ shape, units }) => 2 * elements(shape) * units;
const convFlops = ({ shape, units }) => 9 * linearFlops({ shape, units });
const withGradient = (inputs, outShape) => (c) => ({ ...inputs(c), dy: random(outShape(c), { seed: 4 }) });

/** A layer with a weight, both ways. The gradients take two products. */
const layer = (key, options, inputs, outShape, flops) => ({
  [key]: {
    inputs,
    outShape,
    flops,
    ours:
      ({ x, w, gamma, beta }) =>
      (out) => ({ y: functions[key](x, w, { ...options, gamma, beta, out }) }),
    passes: 2,
  },
  [`${key}Backward`]: {
    inputs: withGradient(inputs, outShape),
    flops: (c) => 2 * flops(c),
    ours: ({ x, w, gamma, beta, dy }) => {
      const { saved } = functions[`${key}Forward`](x, w, { ...options, gamma, beta });
      return (out) => {
        const { dx, dw } = functions[`${key}Backward`](dy, saved, { out });
        return { dx, dw };
      };
    },
    passes: 3,
  },
});

/** Sequences [T, N, I] into as many units as inputs. */
const lstmInputs = ({ shape: [, n, i] }, shape) => ({
  x: random(shape, { seed: 1 }),
  weightIh: random([4 * i, i], { deviation: i ** -0.5, seed: 2 }),
  weightHh: random([4 * i, i], { deviation: i ** -0.5, seed: 3 }),
  h0: random([n, i], { deviation: 0.3, seed: 5 }),
});
const lstmFlops = ({ shape }) => 16 * elements(shape) * shape.at(-1);

const lstm = (key) => ({
  [key]: {
    inputs: (c) => lstmInputs(c, c.shape),
    flops: lstmFlops,
    ours:
      ({ x, weightIh, weightHh, h0 }) =>
      () => ({ y: functions[key](x, { weightIh, weightHh, h0, eps: EPS }).hs }),
    passes: 2,
  },
  /** Forward and backward, since the way back frees what the forward pass kept. */
  [`${key}Step`]: {
    inputs: (c) => ({ ...lstmInputs(c, c.shape), dy: random(c.shape, { seed: 4 }) }),
    flops: (c) => 3 * lstmFlops(c),
    ours:
      ({ x, weightIh, weightHh, h0, dy }) =>
      () => {
        const { saved } = functions[`${key}Forward`](x, { weightIh, weightHh, h0, eps: EPS });
        const { dxs, dweightIh, dweightHh } = functions[`${key}Backward`](dy, saved);
        return { dx: dxs, dweightIh, dweightHh };
      },
    passes: 5,
  },
});

const WINDOW = { kernelSize: 3, padding: 1 };
const columnsShape = ({ shape: [n, c, h, w] }) => [n, 9 * c, h * w];

export const products = {
  /** Square matrices; with transposeA or transposeB that operand is stored transposed. */
  matmul: {
    inputs: ({ shape }) => ({ a: random(shape, { seed: 7 }), b: random(shape, { seed: 8 }) }),
    ours:
      ({ a, b }, { transposeA, transposeB }) =>
      (out) => ({ y: api.matmul(a, b, { transposeA, transposeB, out }) }),
    passes: 3,
    flops: ({ shape: [n] }) => 2 * n ** 3,
  },
  /** Eigenvalues and eigenvectors of a symmetric matrix; the vectors' signs are free, so the values are compared. */
  eigh: {
    inputs: ({ shape }) => ({ x: symmetric(random(shape, { seed: 11 })) }),
    ours:
      ({ x }) =>
      () => ({ values: { data: api.eigh(x).values } }),
    passes: 2,
  },
  svd: {
    inputs: ({ shape }) => ({ x: random(shape, { seed: 11 }) }),
    ours:
      ({ x }) =>
      () => ({ values: { data: api.svd(x).s } }),
    passes: 2,
  },
  /** The columns of windows of 3 by 3, and back. */
  im2col: {
    inputs: ({ shape }) => ({ x: random(shape, { seed: 1 }) }),
    outShape: columnsShape,
    ours:
      ({ x }) =>
      (out) => ({ y: api.im2col(x, { ...WINDOW, out }) }),
    passes: 10,
  },
  col2im: {
    inputs: (c) => ({ x: random(columnsShape(c), { seed: 1 }) }),
    ours:
      ({ x }, { shape }) =>
      (out) => ({ y: api.col2im(x, { ...WINDOW, shape, out }) }),
    passes: 10,
  },
  ...layer("cosineLinear", {}, linearInputs, linearOut, linearFlops),
  ...layer("normPropLinear", {}, linearInputs, linearOut, linearFlops),
  ...layer("cosineConv", { padding: 1 }, convInputs, convOut, convFlops),
  ...layer("normPropConv", { padding: 1 }, convInputs, convOut, convFlops),
  ...lstm("recurrentBatchNorm"),
  ...lstm("layerNormLSTM"),
};
