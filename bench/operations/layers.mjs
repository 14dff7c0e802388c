/** The layers that normalize activations. */
import * as api from "../../dist/index.js";
import { random } from "../data.mjs";
import {
  bothWays,
  channelInputs,
  channelsOf,
  channelView,
  EPS,
  forward,
  functions,
  groupView,
  rowInputs,
  rowView,
  step,
  withGradient,
} from "./common.mjs";

/** Batch norm needs running statistics: read at inference, updated in training. */
const batchInputs = (c) => {
  const shape = [channelsOf(c)];
  return {
    ...channelInputs(c),
    runningMean: random(shape, { mean: 0.5, deviation: 0.1, seed: 5 }),
    runningVar: random(shape, { mean: 1, deviation: 0.1, seed: 6 }),
  };
};

const rowOptions = (_, { shape }) => ({ normalizedShape: shape.at(-1) });
const batchOptions = ({ runningMean, runningVar }, { layout }) => ({ runningMean, runningVar, layout });
const inferenceOptions = (inputs, c) => ({ ...batchOptions(inputs, c), mode: "eval" });
const groupOptions = (_, { numGroups }) => ({ numGroups });

const rows = { view: rowView, inputs: rowInputs };
const batch = { view: channelView, inputs: batchInputs };
const groups = { view: groupView, inputs: channelInputs };
/** Methods whose statistics no formula over a view has. */
const unviewed = { inputs: channelInputs };

const rmsInputs = (c) => {
  const { x, weight } = rowInputs(c);
  return { x, weight };
};

const forwardAndBackward = (name) => [name, `${name}Forward`, `${name}Backward`].map((key) => functions[key]);

/** Shards of a batch, as workers hold them: halves. */
const halves = ({ data, shape: [n, ...rest] }) => {
  const half = data.length / 2;
  return [0, 1].map((i) => ({ data: data.subarray(i * half, (i + 1) * half), shape: [n / 2, ...rest] }));
};

/** Content, and a style of the same size. */
const styleInputs = (c) => ({ x: random(c.shape, { mean: 0.5, seed: 1 }), style: random(c.shape, { seed: 7 }) });

export const layers = {
  ...bothWays("layerNorm", rows, forwardAndBackward("layerNorm"), rowOptions),
  layerNormStep: {
    ...rows,
    inputs: withGradient(rowInputs),
    ours: step(api.layerNormForward, api.layerNormBackward, rowOptions),
    passes: 5,
  },
  ...bothWays("rmsNorm", { view: rowView, inputs: rmsInputs }, forwardAndBackward("rmsNorm"), rowOptions),
  batchNormInference: { ...batch, ours: forward(api.batchNorm, inferenceOptions), passes: 2 },
  ...bothWays("batchNorm", batch, forwardAndBackward("batchNorm"), batchOptions),
  batchNormStep: {
    ...batch,
    inputs: withGradient(batchInputs),
    ours: step(api.batchNormForward, api.batchNormBackward, batchOptions),
    passes: 5,
  },
  ...bothWays("groupNorm", groups, forwardAndBackward("groupNorm"), groupOptions),
  ...bothWays("instanceNorm", groups, forwardAndBackward("instanceNorm")),
  ...bothWays(
    "batchRenorm",
    {
      inputs: (c) => ({
        ...channelInputs(c),
        runningMean: batchInputs(c).runningMean,
        runningStd: batchInputs(c).runningVar,
      }),
    },
    forwardAndBackward("batchRenorm"),
    ({ runningMean, runningStd }) => ({ runningMean, runningStd, rMax: 3, dMax: 5 }),
  ),
  ...bothWays("meanOnlyBatchNorm", unviewed, forwardAndBackward("meanOnlyBatchNorm")),
  ...bothWays("ghostBatchNorm", unviewed, forwardAndBackward("ghostBatchNorm"), (_, { ghostBatchSize }) => ({
    ghostBatchSize,
  })),
  ...bothWays(
    "batchInstanceNorm",
    { inputs: (c) => ({ ...channelInputs(c), rho: random([channelsOf(c)], { mean: 0.5, deviation: 0.2, seed: 7 }) }) },
    forwardAndBackward("batchInstanceNorm"),
    ({ rho }) => ({ rho }),
  ),
  ...bothWays(
    "switchableNorm",
    {
      inputs: (c) => ({
        ...channelInputs(c),
        meanLogits: random([3], { seed: 7 }),
        varLogits: random([3], { seed: 8 }),
      }),
    },
    forwardAndBackward("switchableNorm"),
    ({ meanLogits, varLogits }) => ({ statistics: ["instance", "layer", "batch"], meanLogits, varLogits }),
  ),
  ...bothWays(
    "virtualBatchNorm",
    {
      inputs: (c) => ({
        ...channelInputs(c),
        runningMean: batchInputs(c).runningMean,
        runningVar: batchInputs(c).runningVar,
      }),
    },
    forwardAndBackward("virtualBatchNorm"),
    ({ runningMean, runningVar }) => ({ reference: { mean: runningMean, variance: runningVar, numSamples: 3 } }),
  ),
  /** The statistics of a reference batch. */
  referenceStatistics: {
    inputs: ({ shape }) => ({ x: random(shape, { mean: 0.5, seed: 1 }) }),
    ours:
      ({ x }) =>
      () => {
        const { mean, variance } = api.referenceStatistics(x);
        return { mean: { data: mean }, variance: { data: variance } };
      },
    passes: 1,
  },
  ...bothWays("lpBatchNorm", unviewed, forwardAndBackward("lpBatchNorm"), () => ({ p: 1 })),
  /** Batches [T, N, C, ...] one after the other, an update of the weights after each. */
  streamingNorm: {
    inputs: ({ shape: [steps, ...shape] }) => ({
      ...channelInputs({ shape }),
      x: random([steps, ...shape], { mean: 0.5, seed: 1 }),
    }),
    ours: forward(api.streamingNorm, () => ({})),
    passes: 2,
  },
  adaIN: {
    inputs: styleInputs,
    ours:
      ({ x, style }) =>
      (out) => ({ y: api.adaIN(x, style, { eps: EPS, out }) }),
    passes: 3,
  },
  adaINBackward: {
    inputs: withGradient(styleInputs),
    ours: ({ x, style, dy }) => {
      const { saved } = api.adaINForward(x, style, { eps: EPS });
      return (out) => {
        const { dcontent, dstyle } = api.adaINBackward(dy, saved, { out });
        return { dx: dcontent, dstyle };
      };
    },
    passes: 5,
  },
  localResponseNorm: {
    inputs: ({ shape }) => ({ x: random(shape, { mean: 0.5, seed: 1 }) }),
    ours:
      ({ x }) =>
      (out) => ({ y: api.localResponseNorm(x, { size: 5, out }) }),
    passes: 2,
  },
  localResponseNormBackward: {
    inputs: withGradient(({ shape }) => ({ x: random(shape, { mean: 0.5, seed: 1 }) })),
    ours: ({ x, dy }) => {
      const { saved } = api.localResponseNormForward(x, { size: 5 });
      return (out) => api.localResponseNormBackward(dy, saved, { out });
    },
    passes: 3,
  },
  divisiveNorm: {
    inputs: ({ shape }) => ({ x: random(shape, { mean: 0.5, seed: 1 }) }),
    ours:
      ({ x }) =>
      (out) => ({ y: api.divisiveNorm(x, { window: [5, 5], sigma: 1, out }) }),
    passes: 2,
  },
  divisiveNormBackward: {
    inputs: withGradient(({ shape }) => ({ x: random(shape, { mean: 0.5, seed: 1 }) })),
    ours: ({ x, dy }) => {
      const { saved } = api.divisiveNormForward(x, { window: [5, 5], sigma: 1 });
      return (out) => api.divisiveNormBackward(dy, saved, { out });
    },
    passes: 3,
  },
  /** Two workers' halves of a batch; the results are theirs, so that `out` has no part in it. */
  syncBatchNorm: {
    inputs: (c) => channelInputs(c),
    ours: ({ x, weight, bias }) => {
      const shards = halves(x);
      return () => {
        const ys = api.syncBatchNorm(shards, { eps: EPS, weight, bias });
        return { y0: ys[0], y1: ys[1] };
      };
    },
    passes: 2,
  },
  syncBatchNormBackward: {
    inputs: withGradient((c) => channelInputs(c)),
    ours: ({ x, dy, weight, bias }) => {
      const { saved } = api.syncBatchNormForward(halves(x), { eps: EPS, weight, bias });
      const gradients = halves(dy);
      return () => {
        const { dxs, dweight, dbias } = api.syncBatchNormBackward(gradients, saved);
        return { dx0: dxs[0], dx1: dxs[1], dweight, dbias };
      };
    },
    passes: 3,
  },
  /** A layer's statistics replaced by those of four batches. */
  adaptBatchNorm: {
    inputs: ({ shape }) => ({ x: random(shape, { mean: 0.5, seed: 1 }) }),
    ours: ({ x }, { shape }) => {
      const layer = new api.BatchNorm(shape[1]);
      return () => {
        api.adaptBatchNorm(layer, [x, x, x, x]);
        return { mean: { data: layer.runningMean }, variance: { data: layer.runningVar } };
      };
    },
    passes: 4,
  },
  ...bothWays("decorrelatedBatchNorm", unviewed, forwardAndBackward("decorrelatedBatchNorm")),
  ...bothWays("iterNorm", unviewed, forwardAndBackward("iterNorm")),
};
