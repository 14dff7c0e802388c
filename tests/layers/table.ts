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
];
