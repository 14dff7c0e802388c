/**
 * What the cases do: for each operation the inputs, our call, and what it costs at the least. Peers know the operations
 * by these names and take part where they have one of the same name.
 *
 *   view     x as an array to be normalized over `axes`, with parameters that broadcast: how libraries of plain array
 *            operations write every normalizer with one formula
 *   inputs   f32 tensors on the heap
 *   ours     given the inputs where the case wants them: a call that takes `out` (undefined: a fresh heap array) and
 *            returns the results
 *   passes   times that a tensor of x's size is read or written, by an implementation that is bound by memory alone
 */
import {
  batchNorm,
  batchNormBackward,
  batchNormForward,
  eigh,
  groupNorm,
  groupNormBackward,
  groupNormForward,
  instanceNorm,
  instanceNormBackward,
  instanceNormForward,
  layerNorm,
  layerNormBackward,
  layerNormForward,
  matmul,
  normalize,
  rmsNorm,
  StandardScaler,
} from "../dist/index.js";
import { elements, normInputs, random } from "./data.mjs";

/** The epsilon of every normalizer here. */
export const EPS = 1e-5;

const channelsOf = ({ shape, layout }) => (layout === "channels-last" ? shape.at(-1) : shape[1]);

/** Each row of the last dimension for itself. */
const rowView = ({ shape }) => ({
  shape: [elements(shape) / shape.at(-1), shape.at(-1)],
  axes: [1],
  parameters: [shape.at(-1)],
});

/** Each channel over samples and positions. */
function channelView({ shape, layout }) {
  const c = channelsOf({ shape, layout });
  if (layout === "channels-last" || shape.length === 2) {
    return { shape: [elements(shape) / c, c], axes: [0], parameters: [c] };
  }
  return { shape: [shape[0], c, elements(shape.slice(2))], axes: [0, 2], parameters: [1, c, 1] };
}

/** Each group of channels of each sample. */
function groupView({ shape: [n, c, ...spatial], numGroups = c }) {
  const perGroup = c / numGroups;
  return { shape: [n, numGroups, perGroup, elements(spatial)], axes: [2, 3], parameters: [1, numGroups, perGroup, 1] };
}

const rowInputs = ({ shape }) => normInputs(shape, shape.at(-1));
const channelInputs = ({ shape, layout }) => normInputs(shape, channelsOf({ shape, layout }));
const withGradient = (inputs) => (c) => ({ ...inputs(c), dy: random(c.shape, { seed: 4 }) });

/** Batch norm needs running statistics: read at inference, updated in training. */
const batchInputs = (c) => {
  const shape = [channelsOf(c)];
  return {
    ...channelInputs(c),
    runningMean: random(shape, { mean: 0.5, deviation: 0.1, seed: 5 }),
    runningVar: random(shape, { mean: 1, deviation: 0.1, seed: 6 }),
  };
};

/** A matrix plus its transpose. */
function symmetric({ data, shape }) {
  const [n] = shape;
  return { data: data.map((value, i) => value + data[(i % n) * n + Math.floor(i / n)]), shape };
}

const rms = ({ x, weight }) => ({ x, weight });

/** A forward pass of ours by its function, its options taken from the inputs and the case. */
const forward = (norm, optionsOf) => (inputs, c) => {
  const options = { eps: EPS, weight: inputs.weight, bias: inputs.bias, ...optionsOf(inputs, c) };
  return (out) => ({ y: norm(inputs.x, { ...options, out }) });
};

/** A backward pass alone: the forward pass is run once, before. */
const backward = (normForward, normBackward, optionsOf) => (inputs, c) => {
  const options = { eps: EPS, weight: inputs.weight, bias: inputs.bias, ...optionsOf(inputs, c) };
  const { saved } = normForward(inputs.x, options);
  return (out) => normBackward(inputs.dy, saved, { out });
};

/** Forward and backward, as in one step of training; `out` takes y. */
const step = (normForward, normBackward, optionsOf) => (inputs, c) => {
  const options = { eps: EPS, weight: inputs.weight, bias: inputs.bias, ...optionsOf(inputs, c) };
  return (out) => normBackward(inputs.dy, normForward(inputs.x, { ...options, out }).saved);
};

const rowOptions = (_, { shape }) => ({ normalizedShape: shape.at(-1) });
const batchOptions = ({ runningMean, runningVar }, { layout }) => ({ runningMean, runningVar, layout });
const inferenceOptions = (inputs, c) => ({ ...batchOptions(inputs, c), mode: "eval" });
const groupOptions = (_, { numGroups }) => ({ numGroups });
const noOptions = () => ({});

export const operations = {
  layerNorm: { view: rowView, inputs: rowInputs, ours: forward(layerNorm, rowOptions), passes: 2 },
  layerNormBackward: {
    view: rowView,
    inputs: withGradient(rowInputs),
    ours: backward(layerNormForward, layerNormBackward, rowOptions),
    passes: 3,
  },
  layerNormStep: {
    view: rowView,
    inputs: withGradient(rowInputs),
    ours: step(layerNormForward, layerNormBackward, rowOptions),
    passes: 5,
  },
  rmsNorm: { view: rowView, inputs: (c) => rms(rowInputs(c)), ours: forward(rmsNorm, rowOptions), passes: 2 },
  batchNormInference: { view: channelView, inputs: batchInputs, ours: forward(batchNorm, inferenceOptions), passes: 2 },
  batchNorm: { view: channelView, inputs: batchInputs, ours: forward(batchNorm, batchOptions), passes: 2 },
  batchNormBackward: {
    view: channelView,
    inputs: withGradient(batchInputs),
    ours: backward(batchNormForward, batchNormBackward, batchOptions),
    passes: 3,
  },
  batchNormStep: {
    view: channelView,
    inputs: withGradient(batchInputs),
    ours: step(batchNormForward, batchNormBackward, batchOptions),
    passes: 5,
  },
  groupNorm: { view: groupView, inputs: channelInputs, ours: forward(groupNorm, groupOptions), passes: 2 },
  groupNormBackward: {
    view: groupView,
    inputs: withGradient(channelInputs),
    ours: backward(groupNormForward, groupNormBackward, groupOptions),
    passes: 3,
  },
  instanceNorm: { view: groupView, inputs: channelInputs, ours: forward(instanceNorm, noOptions), passes: 2 },
  instanceNormBackward: {
    view: groupView,
    inputs: withGradient(channelInputs),
    ours: backward(instanceNormForward, instanceNormBackward, noOptions),
    passes: 3,
  },
  /** Statistics of the columns of rows of samples, and the same rows scaled by them. */
  standardScaler: {
    view: channelView,
    inputs: ({ shape }) => ({ x: random(shape, { mean: 0.5, seed: 9 }) }),
    ours: ({ x }) => {
      const scaler = new StandardScaler();
      return (out) => ({ y: scaler.fitTransform(x, { out }) });
    },
    passes: 3,
  },
  /** Statistics of the columns alone: what fitting costs. */
  standardScalerFit: {
    inputs: ({ shape }) => ({ x: random(shape, { mean: 0.5, seed: 9 }) }),
    ours: ({ x }) => {
      const scaler = new StandardScaler();
      return () => ({ scale: { data: scaler.fit(x).scale } });
    },
    passes: 1,
  },
  /** Rows scaled by statistics that are there. */
  standardScalerTransform: {
    inputs: ({ shape }) => ({ x: random(shape, { mean: 0.5, seed: 9 }) }),
    ours: ({ x }) => {
      const scaler = new StandardScaler().fit(x);
      return (out) => ({ y: scaler.transform(x, { out }) });
    },
    passes: 2,
  },
  /** Rows brought to length 1, as embeddings are. */
  unitRows: {
    inputs: ({ shape }) => ({ x: random(shape, { mean: 0.1, seed: 10 }) }),
    ours:
      ({ x }) =>
      (out) => ({ y: normalize(x, { out }) }),
    passes: 2,
  },
  /** Eigenvalues and eigenvectors of a symmetric matrix; the vectors' signs are free, so the values are compared. */
  eigh: {
    inputs: ({ shape }) => ({ x: symmetric(random(shape, { seed: 11 })) }),
    ours:
      ({ x }) =>
      () => ({ values: { data: eigh(x).values } }),
    passes: 2,
  },
  /** Square matrices; with transposeA or transposeB that operand is stored transposed. */
  matmul: {
    inputs: ({ shape }) => ({ a: random(shape, { seed: 7 }), b: random(shape, { seed: 8 }) }),
    ours:
      ({ a, b }, { transposeA, transposeB }) =>
      (out) => ({ y: matmul(a, b, { transposeA, transposeB, out }) }),
    passes: 3,
    flops: ({ shape: [n] }) => 2 * n ** 3,
  },
};
