/** The public surface of evenkeel: one line for each module, naming what it exports. */
export type { ChannelGradients, ChannelNormConfig } from "./core/channelwise.js";
export type { Layout } from "./core/geometry.js";
export { init, initSync, type KernelSource } from "./core/instance.js";
export type { LoadableState, Mode, Parameter, StateDict } from "./core/layer.js";
export { type DType, memoryInfo, type TypedArray } from "./core/memory.js";
export type { RunningConfig, RunningStatistics } from "./core/running.js";
export { LinearTensor, type Tensor, type TensorLike, tensor, type VectorLike } from "./core/tensor.js";
export type { AdaINConfig, AdaINGradients, AdaINOptions, AdaINSaved } from "./layers/ada-in.js";
export { AdaIN, adaIN, adaINBackward, adaINForward } from "./layers/ada-in.js";
export { type AdaptNetworkOptions, type AdaptOptions, adaptBatchNorm } from "./layers/adapt-batch-norm.js";
export type { AlphaDropoutConfig, AlphaDropoutOptions, AlphaDropoutSaved, KeepLike } from "./layers/alpha-dropout.js";
export { AlphaDropout, alphaDropout, alphaDropoutBackward, alphaDropoutForward } from "./layers/alpha-dropout.js";
export type {
  BatchInstanceNormGradients,
  BatchInstanceNormOptions,
  BatchInstanceNormResult,
  BatchInstanceNormSaved,
} from "./layers/batch-instance-norm.js";
export {
  BatchInstanceNorm,
  batchInstanceNorm,
  batchInstanceNormBackward,
  batchInstanceNormForward,
} from "./layers/batch-instance-norm.js";
export type {
  BatchNormConfig,
  BatchNormOptions,
  BatchNormResult,
  BatchNormSaved,
  MaskLike,
  OnSingleValue,
} from "./layers/batch-norm.js";
export { BatchNorm, batchNorm, batchNormBackward, batchNormForward } from "./layers/batch-norm.js";
export type {
  BatchRenormConfig,
  BatchRenormOptions,
  BatchRenormResult,
  BatchRenormSaved,
  RenormStatistics,
} from "./layers/batch-renorm.js";
export { BatchRenorm, batchRenorm, batchRenormBackward, batchRenormForward } from "./layers/batch-renorm.js";
export type { CosineConvConfig, CosineConvOptions, CosineConvSaved } from "./layers/cosine-conv.js";
export { CosineConv, cosineConv, cosineConvBackward, cosineConvForward } from "./layers/cosine-conv.js";
export type { CosineConfig, CosineGradients, CosineOptions, CosineSaved } from "./layers/cosine-linear.js";
export { CosineLinear, cosineLinear, cosineLinearBackward, cosineLinearForward } from "./layers/cosine-linear.js";
export type {
  DecorrelatedBatchNormConfig,
  DecorrelatedBatchNormOptions,
  DecorrelatedResult,
  DecorrelatedSaved,
} from "./layers/decorrelated-batch-norm.js";
export {
  DecorrelatedBatchNorm,
  decorrelatedBatchNorm,
  decorrelatedBatchNormBackward,
  decorrelatedBatchNormForward,
} from "./layers/decorrelated-batch-norm.js";
export type {
  DivisiveNormConfig,
  DivisiveNormGradients,
  DivisiveNormOptions,
  DivisiveNormResult,
  DivisiveNormSaved,
  DivisiveOver,
} from "./layers/divisive-norm.js";
export { DivisiveNorm, divisiveNorm, divisiveNormBackward, divisiveNormForward } from "./layers/divisive-norm.js";
export type { GaussianMoments, GaussianMomentsOptions } from "./layers/gaussian-moments.js";
export { gaussianMoments } from "./layers/gaussian-moments.js";
export type {
  GhostArrangement,
  GhostBatchNormConfig,
  GhostBatchNormOptions,
  GhostBatchNormResult,
  GhostBatchNormSaved,
  GhostOptions,
} from "./layers/ghost-batch-norm.js";
export {
  GhostBatchNorm,
  ghostBatchNorm,
  ghostBatchNormBackward,
  ghostBatchNormForward,
} from "./layers/ghost-batch-norm.js";
export type { GroupNormOptions, GroupNormSaved } from "./layers/group-norm.js";
export { GroupNorm, groupNorm, groupNormBackward, groupNormForward } from "./layers/group-norm.js";
export type { InstanceNormOptions, InstanceNormSaved } from "./layers/instance-norm.js";
export { InstanceNorm, instanceNorm, instanceNormBackward, instanceNormForward } from "./layers/instance-norm.js";
export type { IterNormConfig, IterNormOptions } from "./layers/iter-norm.js";
export { IterNorm, iterNorm, iterNormBackward, iterNormForward } from "./layers/iter-norm.js";
export type { LayerNormConfig, LayerNormOptions, LayerNormSaved, RowGradients } from "./layers/layer-norm.js";
export { LayerNorm, layerNorm, layerNormBackward, layerNormForward } from "./layers/layer-norm.js";
export type { LayerNormLSTMGradients, LayerNormLSTMOptions } from "./layers/layer-norm-lstm.js";
export { LayerNormLSTM, layerNormLSTM, layerNormLSTMBackward, layerNormLSTMForward } from "./layers/layer-norm-lstm.js";
export type { LocalResponseNormOptions, LocalResponseNormSaved } from "./layers/local-response-norm.js";
export {
  LocalResponseNorm,
  localResponseNorm,
  localResponseNormBackward,
  localResponseNormForward,
} from "./layers/local-response-norm.js";
export type {
  LpBatchNormConfig,
  LpBatchNormOptions,
  LpBatchNormResult,
  LpBatchNormSaved,
  LpOptions,
  LpSet,
  LpStatistics,
} from "./layers/lp-batch-norm.js";
export { LpBatchNorm, lpBatchNorm, lpBatchNormBackward, lpBatchNormForward } from "./layers/lp-batch-norm.js";
export type { LSTMSaved, LSTMWeights } from "./layers/lstm.js";
export type {
  MeanOnlyBatchNormConfig,
  MeanOnlyBatchNormOptions,
  MeanOnlyBatchNormResult,
  MeanOnlyBatchNormSaved,
  MeanOnlyGradients,
} from "./layers/mean-only-batch-norm.js";
export {
  MeanOnlyBatchNorm,
  meanOnlyBatchNorm,
  meanOnlyBatchNormBackward,
  meanOnlyBatchNormForward,
} from "./layers/mean-only-batch-norm.js";
export type { NormPropConvConfig, NormPropConvOptions, NormPropConvSaved } from "./layers/norm-prop-conv.js";
export { NormPropConv, normPropConv, normPropConvBackward, normPropConvForward } from "./layers/norm-prop-conv.js";
export type {
  NormPropActivation,
  NormPropConfig,
  NormPropGradients,
  NormPropOptions,
  NormPropSaved,
} from "./layers/norm-prop-linear.js";
export {
  NormPropLinear,
  normPropActivation,
  normPropLinear,
  normPropLinearBackward,
  normPropLinearForward,
  normPropRelu,
} from "./layers/norm-prop-linear.js";
export { type KerasArguments, type OnnxAttributes, presets } from "./layers/presets.js";
export type {
  BatchNormLSTMConfig,
  LSTMConfig,
  RecurrentBatchNormGradients,
  RecurrentBatchNormOptions,
  StepStatistics,
} from "./layers/recurrent-batch-norm.js";
export {
  BatchNormLSTM,
  recurrentBatchNorm,
  recurrentBatchNormBackward,
  recurrentBatchNormForward,
} from "./layers/recurrent-batch-norm.js";
export type { RMSNormConfig, RMSNormGradients, RMSNormOptions, RMSNormSaved } from "./layers/rms-norm.js";
export { RMSNorm, rmsNorm, rmsNormBackward, rmsNormForward } from "./layers/rms-norm.js";
export type { MeanVariance, MomentMapOptions, WeightSums } from "./layers/self-normalizing.js";
export { momentMap, selfNormalizingConstants } from "./layers/self-normalizing.js";
export type { SeluOptions, SeluSaved } from "./layers/selu.js";
export { SELU, SELU_ALPHA, SELU_LAMBDA, selu, seluBackward, seluForward } from "./layers/selu.js";
export type {
  StreamingNormConfig,
  StreamingNormOptions,
  StreamingNormSaved,
  StreamOptions,
} from "./layers/streaming-norm.js";
export { StreamingNorm, streamingNorm } from "./layers/streaming-norm.js";
export type {
  StatisticsKind,
  SwitchableNormConfig,
  SwitchableNormGradients,
  SwitchableNormOptions,
  SwitchableNormResult,
  SwitchableNormSaved,
} from "./layers/switchable-norm.js";
export {
  SwitchableNorm,
  switchableNorm,
  switchableNormBackward,
  switchableNormForward,
} from "./layers/switchable-norm.js";
export type {
  ChannelGradSums,
  ChannelMoments,
  LocalGradients,
  ShardSaved,
  SyncBatchNormGradients,
  SyncBatchNormOptions,
  SyncBatchNormResult,
  SyncBatchNormSaved,
} from "./layers/sync-batch-norm.js";
export {
  batchNormApply,
  batchNormApplyGradient,
  batchNormLocalGradients,
  batchNormLocalMoments,
  batchNormMergeGradSums,
  batchNormMergeMoments,
  SyncBatchNorm,
  syncBatchNorm,
  syncBatchNormBackward,
  syncBatchNormForward,
} from "./layers/sync-batch-norm.js";
export type {
  ReferenceStatistics,
  VirtualBatchNormOptions,
  VirtualBatchNormSaved,
} from "./layers/virtual-batch-norm.js";
export {
  referenceStatistics,
  VirtualBatchNorm,
  virtualBatchNorm,
  virtualBatchNormBackward,
  virtualBatchNormForward,
} from "./layers/virtual-batch-norm.js";
export { type Eigen, eigh } from "./linalg/eigh.js";
export type { Im2colOptions, WindowOptions } from "./linalg/im2col.js";
export { col2im, im2col } from "./linalg/im2col.js";
export { type MatmulOptions, matmul } from "./linalg/matmul.js";
export { type SVD, svd } from "./linalg/svd.js";
export type { SklearnCentering } from "./preprocessing/centering.js";
export { Centering } from "./preprocessing/centering.js";
export type { CovariateShift, CovariateShiftOptions } from "./preprocessing/covariate-shift-weights.js";
export { covariateShiftWeights } from "./preprocessing/covariate-shift-weights.js";
export type {
  ImageLike,
  ImageResize,
  ImageScale,
  ImageToTensorOptions,
  PixelImage,
  TensorToImageOptions,
} from "./preprocessing/image-to-tensor.js";
export { imagePresets, imageToTensor, tensorToImage } from "./preprocessing/image-to-tensor.js";
export type { SklearnMaxAbsScaler } from "./preprocessing/max-abs-scaler.js";
export { MaxAbsScaler } from "./preprocessing/max-abs-scaler.js";
export type { MinMaxScalerConfig, SklearnMinMaxScaler } from "./preprocessing/min-max-scaler.js";
export { MinMaxScaler } from "./preprocessing/min-max-scaler.js";
export type { WeightedFitOptions } from "./preprocessing/moments-scaler.js";
export type { Norm, NormalizeOptions } from "./preprocessing/normalizer.js";
export { Normalizer, normalize, normalizeBackward } from "./preprocessing/normalizer.js";
export type { RobustScalerConfig, SklearnRobustScaler } from "./preprocessing/robust-scaler.js";
export { RobustScaler } from "./preprocessing/robust-scaler.js";
export type { RowsLike } from "./preprocessing/rows.js";
export type { SavedScaler, SklearnAttribute, TransformOptions } from "./preprocessing/scaler.js";
export type {
  SklearnStandardScaler,
  StandardScalerConfig,
} from "./preprocessing/standard-scaler.js";
export { StandardScaler } from "./preprocessing/standard-scaler.js";
export type { DecorrelationConfig, WhiteningConfig, WhiteningMethod } from "./preprocessing/whitening.js";
export { Decorrelation, Whitening } from "./preprocessing/whitening.js";
export type { BatchSizePhase, BatchSizeScheduleConfig, Decay } from "./schedules/batch-size-schedule.js";
export { batchSizeSchedule, noiseScale } from "./schedules/batch-size-schedule.js";
export type { EffectiveLearningRateOptions, Equilibrium } from "./schedules/effective-learning-rate.js";
export {
  effectiveLearningRate,
  equilibriumLearningRate,
  equilibriumNorm,
} from "./schedules/effective-learning-rate.js";
export type { ExponentialLearningRateConfig, LearningRatePhase } from "./schedules/exponential-learning-rate.js";
export {
  ExponentialLearningRate,
  exponentialLearningRate,
  exponentialMomentumBuffer,
} from "./schedules/exponential-learning-rate.js";
export { type RenormLimits, renormSchedule } from "./schedules/renorm-schedule.js";
export { adaptedEpochs, type BatchSizes, squareRootLearningRate } from "./schedules/square-root-learning-rate.js";
export type { BoundedBatchNormOptions } from "./weights/bounded-batch-norm.js";
export { boundedBatchNorm } from "./weights/bounded-batch-norm.js";
export { coherence } from "./weights/coherence.js";
export type { FoldableNorm, FoldOptions, LinearMap } from "./weights/fold-batch-norm.js";
export { foldBatchNorm } from "./weights/fold-batch-norm.js";
export { type LecunNormalOptions, lecunNormal } from "./weights/lecun-normal.js";
export { type OrthogonalOptions, orthogonal } from "./weights/orthogonal-init.js";
export { type SingularValueBoundingOptions, singularValueBounding } from "./weights/singular-value-bounding.js";
export type {
  SpectralNormConfig,
  SpectralNormOptions,
  SpectralNormResult,
  SpectralNormSaved,
} from "./weights/spectral-norm.js";
export { SpectralNorm, spectralNorm, spectralNormBackward, spectralNormForward } from "./weights/spectral-norm.js";
export type { UnitNormOptions, UnitNormSaved } from "./weights/unit-norm.js";
export { unitNorm, unitNormBackward, unitNormForward } from "./weights/unit-norm.js";
export type {
  WeightNormConfig,
  WeightNormGradients,
  WeightNormInitOptions,
  WeightNormOptions,
  WeightNormSaved,
} from "./weights/weight-norm.js";
export {
  WeightNorm,
  weightNorm,
  weightNormBackward,
  weightNormForward,
  weightNormInit,
} from "./weights/weight-norm.js";
