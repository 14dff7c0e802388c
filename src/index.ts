/** The public surface of evenkeel: one line for each module, naming what it exports. */
export type { Layout } from "./core/geometry.js";
export type { LoadableState, Mode, Parameter, StateDict } from "./core/layer.js";
export { type DType, memoryInfo, type TypedArray } from "./core/memory.js";
export { LinearTensor, type Tensor, type TensorLike, tensor, type VectorLike } from "./core/tensor.js";
export type {
  BatchNormConfig,
  BatchNormOptions,
  BatchNormResult,
  BatchNormSaved,
  MaskLike,
  OnSingleValue,
  RunningStatistics,
} from "./layers/batch-norm.js";
export { BatchNorm, batchNorm, batchNormBackward, batchNormForward } from "./layers/batch-norm.js";
export type { ChannelGradients, ChannelNormConfig, GroupNormOptions, GroupNormSaved } from "./layers/group-norm.js";
export { GroupNorm, groupNorm, groupNormBackward, groupNormForward } from "./layers/group-norm.js";
export type { InstanceNormOptions, InstanceNormSaved } from "./layers/instance-norm.js";
export { InstanceNorm, instanceNorm, instanceNormBackward, instanceNormForward } from "./layers/instance-norm.js";
export type { LayerNormConfig, LayerNormOptions, LayerNormSaved, RowGradients } from "./layers/layer-norm.js";
export { LayerNorm, layerNorm, layerNormBackward, layerNormForward } from "./layers/layer-norm.js";
export { presets } from "./layers/presets.js";
export type { RMSNormConfig, RMSNormGradients, RMSNormOptions, RMSNormSaved } from "./layers/rms-norm.js";
export { RMSNorm, rmsNorm, rmsNormBackward, rmsNormForward } from "./layers/rms-norm.js";
export { type MatmulOptions, matmul } from "./linalg/matmul.js";
export type { MinMaxScalerConfig, SklearnMinMaxScaler } from "./preprocessing/min-max-scaler.js";
export { MinMaxScaler } from "./preprocessing/min-max-scaler.js";
export type { RowsLike } from "./preprocessing/rows.js";
export type { SavedScaler, SklearnAttribute, TransformOptions } from "./preprocessing/scaler.js";
export type {
  SklearnStandardScaler,
  StandardScalerConfig,
  WeightedFitOptions,
} from "./preprocessing/standard-scaler.js";
export { StandardScaler } from "./preprocessing/standard-scaler.js";
export type { FoldableNorm, FoldOptions, LinearMap } from "./weights/fold-batch-norm.js";
export { foldBatchNorm } from "./weights/fold-batch-norm.js";
