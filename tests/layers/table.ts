/** Every method that normalizes activations, in one form: what the tests of them all loop over. */

import type { Tensor, TensorLike } from "../../src/index.js";
import * as api from "../../src/index.js";

interface Gradients {
  dx: Tensor;
  dweight?: Tensor | null;
  dbias?: Tensor | null;
}

export interface Method {
  name: string;
  /** Shapes of x to try, and the number of weights each takes. */
  shapes: number[][];
  weights(shape: number[]): number;
  hasBias: boolean;
  forward(
    x: TensorLike,
    affine: { weight?: Float64Array; bias?: Float64Array; out?: TensorLike },
  ): { y: Tensor; saved: never };
  backward(dy: TensorLike, saved: never, options?: { out?: TensorLike }): Gradients;
  /** The class, for a shape. */
  layer(
    shape: number[],
    dtype: api.DType,
  ): api.BatchNorm | api.GroupNorm | api.InstanceNorm | api.LayerNorm | api.RMSNorm;
  /** Whether statistics come from elsewhere than x, or have no mean, so that large means are not taken away. */
  keepsMeans?: boolean;
}

const last = (shape?: number[]) => shape?.at(-1) ?? 1;
const imageShapes = [
  [2, 4, 3, 5],
  [3, 6, 17],
  [1, 2, 31],
  [2, 8, 2, 2, 3],
  [5, 2, 1, 1023],
];
const denseShapes = [
  [5, 4],
  [17, 6],
  [127, 2],
];
const lastOf = (shapes: number[][]) => shapes.map(([n, c, ...spatial]) => [n, ...spatial, c]);
const method = (entry: unknown): Method => entry as Method;

type Layered = Pick<Method, "name" | "shapes" | "keepsMeans"> & {
  forward(x: Tensor, options: object): unknown;
  backward: unknown;
  layer(channels: number, config: { dtype: api.DType; layout?: api.Layout }, shape: number[]): unknown;
};

/** A method with one weight and bias a channel, in both layouts. */
function layered({ forward, layer, ...entry }: Layered): Method[] {
  const layout = "channels-last";
  return [
    method({
      ...entry,
      weights: (shape: number[]) => shape[1],
      hasBias: true,
      forward,
      layer: (shape: number[], dtype: api.DType) => layer(shape[1], { dtype }, shape),
    }),
    method({
      ...entry,
      name: `${entry.name}, channels last`,
      shapes: entry.shapes.map(([n, c, ...spatial]) => [n, ...spatial, c]),
      weights: last,
      hasBias: true,
      forward: (x: Tensor, options: object) => forward(x, { layout, ...options }),
      layer: (shape: number[], dtype: api.DType) => layer(last(shape), { dtype, layout }, shape),
    }),
  ];
}

/** Ghosts of which the last is shorter, but has two values a channel. */
const ghostSize = (shape?: number[]) => (shape?.length === 2 ? 5 : 2);
/** A reference batch for any shape, by its statistics. */
const referenceFor = (channels: number) => ({
  mean: Array.from({ length: channels }, (_, c) => c / 4 - 0.5),
  variance: Array.from({ length: channels }, (_, c) => 0.5 + c / 2),
  numSamples: 3,
});

export const methods: Method[] = [
  method({
    name: "layerNorm",
    shapes: [
      [3, 5],
      [2, 17],
      [31, 3],
      [1, 127],
      [4, 1023],
      [2, 3, 31],
      [1, 9001],
    ],
    weights: last,
    hasBias: true,
    forward: (x: Tensor, options: object) => api.layerNormForward(x, { normalizedShape: last(x.shape), ...options }),
    backward: api.layerNormBackward,
    layer: (shape: number[], dtype: api.DType) => new api.LayerNorm(last(shape), { dtype }),
  }),
  method({
    name: "rmsNorm",
    shapes: [
      [3, 5],
      [2, 17],
      [31, 3],
      [1, 127],
      [4, 1023],
      [2, 3, 31],
      [1, 9001],
    ],
    weights: last,
    hasBias: false,
    forward: (x: Tensor, options: object) => api.rmsNormForward(x, { normalizedShape: last(x.shape), ...options }),
    backward: api.rmsNormBackward,
    layer: (shape: number[], dtype: api.DType) => new api.RMSNorm(last(shape), { dtype }),
    keepsMeans: true,
  }),
  method({
    name: "batchNorm",
    shapes: [...imageShapes, ...denseShapes],
    weights: (shape: number[]) => shape[1],
    hasBias: true,
    forward: api.batchNormForward,
    backward: api.batchNormBackward,
    layer: (shape: number[], dtype: api.DType) => new api.BatchNorm(shape[1], { dtype }),
  }),
  method({
    name: "batchNorm, channels last",
    shapes: [...lastOf(imageShapes), ...denseShapes],
    weights: last,
    hasBias: true,
    forward: (x: Tensor, options: object) => api.batchNormForward(x, { layout: "channels-last", ...options }),
    backward: api.batchNormBackward,
    layer: (shape: number[], dtype: api.DType) => new api.BatchNorm(last(shape), { dtype, layout: "channels-last" }),
  }),
  method({
    name: "groupNorm",
    shapes: [...imageShapes, ...denseShapes],
    weights: (shape: number[]) => shape[1],
    hasBias: true,
    forward: (x: Tensor, options: object) => api.groupNormForward(x, { numGroups: 2, ...options }),
    backward: api.groupNormBackward,
    layer: (shape: number[], dtype: api.DType) => new api.GroupNorm(2, shape[1], { dtype }),
  }),
  method({
    name: "groupNorm, channels last",
    shapes: [...lastOf(imageShapes), ...denseShapes],
    weights: last,
    hasBias: true,
    forward: (x: Tensor, options: object) =>
      api.groupNormForward(x, { numGroups: 2, layout: "channels-last", ...options }),
    backward: api.groupNormBackward,
    layer: (shape: number[], dtype: api.DType) => new api.GroupNorm(2, last(shape), { dtype, layout: "channels-last" }),
  }),
  method({
    name: "instanceNorm",
    shapes: imageShapes,
    weights: (shape: number[]) => shape[1],
    hasBias: true,
    forward: api.instanceNormForward,
    backward: api.instanceNormBackward,
    layer: (shape: number[], dtype: api.DType) => new api.InstanceNorm(shape[1], { dtype, affine: true }),
  }),
  method({
    name: "instanceNorm, channels last",
    shapes: lastOf(imageShapes),
    weights: last,
    hasBias: true,
    forward: (x: Tensor, options: object) => api.instanceNormForward(x, { layout: "channels-last", ...options }),
    backward: api.instanceNormBackward,
    layer: (shape: number[], dtype: api.DType) =>
      new api.InstanceNorm(last(shape), { dtype, affine: true, layout: "channels-last" }),
  }),
  ...layered({
    name: "batchRenorm",
    shapes: [...imageShapes, ...denseShapes],
    forward: api.batchRenormForward,
    backward: api.batchRenormBackward,
    layer: (channels, config) => new api.BatchRenorm(channels, config),
  }),
  ...layered({
    name: "ghostBatchNorm",
    shapes: [...imageShapes, ...denseShapes],
    forward: (x, options) => api.ghostBatchNormForward(x, { ghostBatchSize: ghostSize(x.shape), ...options }),
    backward: api.ghostBatchNormBackward,
    layer: (channels, config, shape) =>
      new api.GhostBatchNorm(channels, { ghostBatchSize: ghostSize(shape), ...config }),
  }),
  ...layered({
    name: "batchInstanceNorm, rho 0.25",
    shapes: imageShapes,
    forward: (x, options: { weight?: Float64Array; layout?: api.Layout }) => {
      const channels = options.layout === "channels-last" ? last(x.shape) : x.shape?.[1];
      return api.batchInstanceNormForward(x, { rho: new Float64Array(channels ?? 1).fill(0.25), ...options });
    },
    backward: api.batchInstanceNormBackward,
    layer: (channels, config) => {
      const layer = new api.BatchInstanceNorm(channels, config);
      layer.rho.data.fill(0.25);
      return layer;
    },
  }),
  ...layered({
    name: "switchableNorm",
    shapes: imageShapes,
    forward: api.switchableNormForward,
    backward: api.switchableNormBackward,
    layer: (channels, config) => new api.SwitchableNorm(channels, config),
  }),
  ...layered({
    name: "switchableNorm of layer and batch",
    shapes: [...imageShapes, ...denseShapes],
    forward: (x, options) => api.switchableNormForward(x, { statistics: ["layer", "batch"], ...options }),
    backward: api.switchableNormBackward,
    layer: (channels, config) => new api.SwitchableNorm(channels, { statistics: ["layer", "batch"], ...config }),
  }),
  ...layered({
    name: "virtualBatchNorm",
    shapes: [...imageShapes, ...denseShapes],
    forward: (x, options: { layout?: api.Layout }) => {
      const channels = options.layout === "channels-last" ? last(x.shape) : x.shape?.[1];
      return api.virtualBatchNormForward(x, { reference: referenceFor(channels ?? 1), ...options });
    },
    backward: api.virtualBatchNormBackward,
    layer: (channels, config) => {
      const layer = new api.VirtualBatchNorm(channels, config);
      const { mean, variance, numSamples } = referenceFor(channels);
      layer.referenceMean.set(mean);
      layer.referenceVar.set(variance);
      layer.loadStateDict({ ...layer.stateDict(), num_reference_samples: numSamples });
      return layer;
    },
    keepsMeans: true,
  }),
  ...layered({
    name: "lpBatchNorm, p 1",
    shapes: [...imageShapes, ...denseShapes],
    forward: api.lpBatchNormForward,
    backward: api.lpBatchNormBackward,
    layer: (channels, config) => new api.LpBatchNorm(channels, config),
  }),
  ...layered({
    name: "lpBatchNorm over the layer, p 1",
    // Two values have no deviation but their distance, and y is as good as a step function of it.
    shapes: [...imageShapes, ...denseShapes.filter(([, c]) => c > 2)],
    forward: (x, options) => api.lpBatchNormForward(x, { over: "layer", ...options }),
    backward: api.lpBatchNormBackward,
    layer: (channels, config) => new api.LpBatchNorm(channels, { over: "layer", ...config }),
  }),
  ...layered({
    name: "lpBatchNorm over instances, p 1",
    shapes: imageShapes,
    forward: (x, options) => api.lpBatchNormForward(x, { over: "instance", ...options }),
    backward: api.lpBatchNormBackward,
    layer: (channels, config) => new api.LpBatchNorm(channels, { over: "instance", ...config }),
  }),
];
