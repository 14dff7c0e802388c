/** What is done to weights, and the activations of networks that normalize themselves. */
import * as api from "../../dist/index.js";
import { elements, random } from "../data.mjs";
import { EPS } from "./common.mjs";

const weightInputs = ({ shape }) => ({
  x: random(shape, { seed: 1 }),
  g: random([shape[0]], { mean: 1, deviation: 0.2, seed: 2 }),
});
const vectors = ({ shape }) => ({
  u: random([shape[0]], { deviation: shape[0] ** -0.5, seed: 2 }),
  v: random([elements(shape.slice(1))], { deviation: elements(shape.slice(1)) ** -0.5, seed: 3 }),
});
const spectralInputs = (c) => ({ x: random(c.shape, { seed: 1 }), ...vectors(c) });
const plainInputs = ({ shape }) => ({ x: random(shape, { seed: 1 }) });
const withGradient = (inputs) => (c) => ({ ...inputs(c), dy: random(c.shape, { seed: 4 }) });

export const weights = {
  weightNorm: {
    inputs: weightInputs,
    ours:
      ({ x, g }) =>
      (out) => ({ y: api.weightNorm(x, { g, out }) }),
    passes: 2,
  },
  weightNormBackward: {
    inputs: withGradient(weightInputs),
    ours: ({ x, g, dy }) => {
      const { saved } = api.weightNormForward(x, { g });
      return (out) => {
        const { dv, dg } = api.weightNormBackward(dy, saved, { out });
        return { dx: dv, dg };
      };
    },
    passes: 3,
  },
  weightNormInit: {
    inputs: plainInputs,
    ours:
      ({ x }) =>
      () =>
        api.weightNormInit(x),
    passes: 2,
  },
  unitNorm: {
    inputs: plainInputs,
    ours:
      ({ x }) =>
      (out) => ({ y: api.unitNorm(x, { out }) }),
    passes: 2,
  },
  unitNormBackward: {
    inputs: withGradient(plainInputs),
    ours: ({ x, dy }) => {
      const { saved } = api.unitNormForward(x);
      return (out) => {
        const { dw } = api.unitNormBackward(dy, saved, { out });
        return { dx: dw };
      };
    },
    passes: 3,
  },
  /** One step of power iteration, and the weight divided by the singular value. */
  spectralNorm: {
    inputs: spectralInputs,
    ours:
      ({ x, u, v }) =>
      (out) => {
        const found = api.spectralNormForward(x, { u, v, out });
        return { y: found.w, u: found.u, v: found.v };
      },
    passes: 4,
  },
  spectralNormBackward: {
    inputs: withGradient(spectralInputs),
    ours: ({ x, u, v, dy }) => {
      const { saved } = api.spectralNormForward(x, { u, v });
      return (out) => {
        const { dw } = api.spectralNormBackward(dy, saved, { out });
        return { dx: dw };
      };
    },
    passes: 4,
  },
  singularValueBounding: {
    inputs: ({ shape }) => ({ x: random(shape, { deviation: shape[1] ** -0.5, seed: 1 }) }),
    ours:
      ({ x }) =>
      (out) => ({ y: api.singularValueBounding(x, { epsilon: 0.2, out }) }),
    passes: 2,
  },
  /** A fresh orthogonal matrix: peers draw other ones, so what is compared is its product with itself. */
  orthogonal: {
    inputs: plainInputs,
    ours:
      (_, { shape }) =>
      () => ({ q: api.orthogonal(shape) }),
    check: ({ q }, { shape: [n] }) => ({
      product: api.matmul({ data: q, shape: [n, n] }, { data: q, shape: [n, n] }, { transposeB: true }).data,
    }),
    passes: 1,
  },
  /** Normal numbers: peers draw other ones, so what is compared is their deviation, roughly. */
  lecunNormal: {
    inputs: plainInputs,
    ours:
      (_, { shape }) =>
      () => ({ q: api.lecunNormal(shape) }),
    check: ({ q }) => ({ rough: [Math.round(Math.sqrt(q.reduce((sum, value) => sum + value * value, 0)))] }),
    passes: 1,
  },
  coherence: {
    inputs: plainInputs,
    ours:
      ({ x }) =>
      () => ({ y: { data: [api.coherence(x)] } }),
    flops: ({ shape: [units, n] }) => 2 * units * units * n,
    passes: 1,
  },
  foldBatchNorm: {
    inputs: (c) => ({
      ...plainInputs(c),
      weight: random([c.shape[0]], { mean: 1, deviation: 0.2, seed: 2 }),
      bias: random([c.shape[0]], { deviation: 0.2, seed: 3 }),
      runningMean: random([c.shape[0]], { seed: 5 }),
      runningVar: random([c.shape[0]], { mean: 1, deviation: 0.1, seed: 6 }),
    }),
    ours:
      ({ x, ...norm }) =>
      (out) => {
        const { weight, bias } = api.foldBatchNorm({ weight: x }, { ...norm, eps: EPS }, { out });
        return { y: weight, shift: bias };
      },
    passes: 2,
  },
  boundedBatchNorm: {
    inputs: ({ shape }) => ({
      x: random(shape, { mean: 1, deviation: 0.5, seed: 2 }),
      runningVar: random(shape, { mean: 1, deviation: 0.1, seed: 6 }),
    }),
    ours:
      ({ x, runningVar }) =>
      () => ({ y: api.boundedBatchNorm(x, runningVar, { eps: EPS }) }),
    passes: 3,
  },
  selu: {
    inputs: plainInputs,
    ours:
      ({ x }) =>
      (out) => ({ y: api.selu(x, { out }) }),
    passes: 2,
  },
  seluBackward: {
    inputs: withGradient(plainInputs),
    ours: ({ x, dy }) => {
      const { saved } = api.seluForward(x);
      return (out) => api.seluBackward(dy, saved, { out });
    },
    passes: 3,
  },
  /** With its own random numbers; the plain loop draws others, so what is compared is the mean, roughly. */
  alphaDropout: {
    inputs: plainInputs,
    ours: ({ x }) => {
      let call = 0;
      return (out) => ({ q: api.alphaDropout(x, { rate: 0.1, seed: 1, call: call++, out }) });
    },
    check: ({ q }) => ({ rough: [Math.round(q.reduce((sum, value) => sum + value * value, 0) / q.length)] }),
    passes: 2,
  },
  alphaDropoutBackward: {
    inputs: withGradient(plainInputs),
    ours: ({ x, dy }) => {
      const keep = Uint8Array.from(x.data, (_, i) => (i % 10 === 3 ? 0 : 1));
      const { saved } = api.alphaDropoutForward(x, { rate: 0.1, keep });
      return (out) => api.alphaDropoutBackward(dy, saved, { out });
    },
    passes: 2,
  },
};
