/** What methods with one weight and bias a channel share: their arguments, checked, their gradients, and their layers. */
import { checkCount, checkEps, fail, show } from "./errors.js";
import { checkLayout, type Geometry, geometryOf, type Layout } from "./geometry.js";
import { Layer, Parameter, type Saved, savedInput } from "./layer.js";
import { type DType, oneNaN } from "./memory.js";
import {
  arrayClass,
  type Operand,
  readAlike,
  readCoefficients,
  readTensor,
  Target,
  type Tensor,
  type TensorLike,
  type VectorLike,
} from "./tensor.js";

/** What the length of a vector of channels means, for messages. */
export const PER_CHANNEL = "one for each channel";

export interface ChannelNormOptions {
  /** One factor for each channel. Default: ones. */
  weight?: VectorLike | null;
  /** One summand for each channel. Default: zeros. */
  bias?: VectorLike | null;
  /** Added to the variance. Default 1e-5. */
  eps?: number;
  /** Default "channels-first". */
  layout?: Layout;
  /** Where to write y; may be x. Default: a new heap array. */
  out?: TensorLike;
}

export interface ChannelNormConfig {
  /** Default 1e-5. */
  eps?: number;
  /** Whether weight and bias are learned. */
  affine?: boolean;
  /** Default "channels-first". */
  layout?: Layout;
  /** Element type of the parameters. Default "float32". */
  dtype?: DType;
}

export interface ChannelGradients {
  dx: Tensor;
  /** Null where there was no weight. */
  dweight: Tensor | null;
  /** Null where there was no bias. */
  dbias: Tensor | null;
}

/** What a forward pass keeps of its options, for the backward pass. */
export interface SavedOptions {
  readonly weight?: VectorLike | null;
  readonly bias?: VectorLike | null;
  readonly layout?: Layout;
}

/** The options that the backward pass needs. */
export function keepOptions({ weight, bias, layout }: SavedOptions): SavedOptions {
  return { weight, bias, layout };
}

export interface ChannelArguments {
  x: Operand;
  geometry: Geometry;
  weight: Float64Array;
  bias: Float64Array;
  eps: number;
  y: Target;
}

/** The arguments that every forward pass takes. */
export function readArguments(method: string, x: TensorLike, options: ChannelNormOptions): ChannelArguments {
  const operand = readTensor(method, "x", x);
  const geometry = geometryOf(method, operand, options.layout);
  const eps = checkEps(method, options.eps);
  const weight = readCoefficients(method, "weight", options.weight, geometry.c, PER_CHANNEL, 1);
  const bias = readCoefficients(method, "bias", options.bias, geometry.c, PER_CHANNEL, 0);
  const y = new Target(method, options.out, operand, [operand]);
  return { x: operand, geometry, weight, bias, eps, y };
}

export interface GradientArguments {
  x: Operand;
  dy: Operand;
  dx: Target;
  geometry: Geometry;
  weight: Float64Array;
}

/** The arguments that every backward pass takes, and what its forward pass kept. */
export function readGradientArguments(
  method: string,
  dy: TensorLike,
  saved: Saved & { readonly options: SavedOptions },
  out: TensorLike | undefined,
): GradientArguments {
  const x = savedInput(method, saved);
  const gradient = readAlike(method, "dy", dy, x);
  const geometry = geometryOf(method, x, saved.options.layout);
  const weight = readCoefficients(method, "weight", saved.options.weight, geometry.c, PER_CHANNEL, 1);
  const dx = new Target(method, out, x, [x, gradient]);
  return { x, dy: gradient, dx, geometry, weight };
}

/** A number of groups that the channels fall into, as many to each. */
export function checkGroups(method: string, numGroups: unknown, channels: number, name = "channels"): number {
  const groups = checkCount(method, "numGroups", numGroups);
  if (channels % groups !== 0) fail(method, `${name} (${channels}) must be divisible by numGroups (${groups})`);
  return groups;
}

/** f64 values as a tensor of an element type, with one kind of NaN; a vector unless there is a shape. */
export function vectorOf(values: Float64Array, dtype: DType, shape: readonly number[] = [values.length]): Tensor {
  return { data: oneNaN(values, new (arrayClass(dtype))(values.length)), shape: [...shape] };
}

/** dweight and dbias as tensors of x's element type, null for parameters that were not there. */
export function channelGradients(
  dx: Target,
  x: Operand,
  { dweight, dbias }: { dweight: Float64Array; dbias: Float64Array },
  options: { weight?: unknown; bias?: unknown },
): ChannelGradients {
  return {
    dx: dx.result,
    dweight: options.weight ? vectorOf(dweight, x.dtype) : null,
    dbias: options.bias ? vectorOf(dbias, x.dtype) : null,
  };
}

/** Throws where x has not the number of channels that a layer was made for. */
export function checkChannels(method: string, x: TensorLike, layout: Layout, channels: number): void {
  const operand = readTensor(method, "x", x);
  const { c } = geometryOf(method, operand, layout);
  if (c !== channels) {
    fail(method, `x has ${c} channels (shape ${show(operand.shape)}, ${layout}) where the layer has ${channels}`);
  }
}

/** A layer with a weight (ones at first) and a bias (zeros) for each channel. */
export abstract class ChannelLayer extends Layer {
  readonly numFeatures: number;
  readonly eps: number;
  readonly layout: Layout;
  readonly weight: Parameter | null;
  readonly bias: Parameter | null;

  constructor(method: string, numFeatures: number, config: ChannelNormConfig) {
    super();
    this.numFeatures = checkCount(method, "numFeatures", numFeatures);
    this.eps = checkEps(method, config.eps);
    this.layout = checkLayout(method, config.layout);
    const dtype = config.dtype ?? "float32";
    const affine = config.affine ?? true;
    this.weight = affine ? new Parameter([numFeatures], dtype, 1) : null;
    this.bias = affine ? new Parameter([numFeatures], dtype, 0) : null;
  }

  /** What a forward pass takes from the layer; throws where x is not for it. @internal */
  protected optionsFor(method: string, x: TensorLike): ChannelNormOptions {
    const { eps, layout, weight, bias } = this;
    checkChannels(method, x, layout, this.numFeatures);
    return { eps, layout, weight: weight?.data, bias: bias?.data };
  }
}
