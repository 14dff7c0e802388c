/** What the workers of a pool do: the methods whose work they share, by name. */
import { batchNorm, batchNormBackward, batchNormForward } from "../layers/batch-norm.js";
import { groupNorm, groupNormBackward, groupNormForward } from "../layers/group-norm.js";
import { instanceNorm, instanceNormBackward, instanceNormForward } from "../layers/instance-norm.js";
import { layerNorm, layerNormBackward, layerNormForward } from "../layers/layer-norm.js";
import { matmul } from "../linalg/matmul.js";
import type { RowsLike } from "../preprocessing/rows.js";
import { Decorrelation, Whitening } from "../preprocessing/whitening.js";

const transforms = { Whitening, Decorrelation };

/** The name of a transform whose statistics the workers can measure. */
export type MeasuredKind = keyof typeof transforms;

/** The statistics of rows, as `fit` learns them. */
function fit(kind: MeasuredKind, config: object, x: RowsLike): unknown {
  // biome-ignore lint/complexity/useLiteralKeys: the state is protected.
  return new transforms[kind](config).fit(x)["state"];
}

export const methods = {
  batchNorm,
  batchNormForward,
  batchNormBackward,
  fit,
  groupNorm,
  groupNormForward,
  groupNormBackward,
  instanceNorm,
  instanceNormForward,
  instanceNormBackward,
  layerNorm,
  layerNormForward,
  layerNormBackward,
  matmul,
};

export type MethodName = keyof typeof methods;
