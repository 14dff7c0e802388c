import type { BatchNormConfig } from "./batch-norm.js";

/** Keras' arguments of its normalization layers. */
export interface KerasArguments {
  /** Weight of the old in the moving statistics. Default 0.99. */
  momentum?: number;
  /** Default 1e-3; RMS normalization 1e-6. */
  epsilon?: number;
  /** The channel axis: -1 (channels last, default) or 1 (channels first). */
  axis?: -1 | 1;
}

/** The attributes of ONNX's operators. */
export interface OnnxAttributes {
  /** Weight of the old in the running statistics. Default 0.9. */
  momentum?: number;
  /** Default 1e-5. */
  epsilon?: number;
}

/**
 * Configurations under which our layers behave as those of another framework: its eps, the sense of its momentum, whether
 * its running variance is biased, and where its channels are. The arguments are the other framework's.
 *
 * @example
 * const norm = new BatchNorm(64, presets.keras.batchNorm({ momentum: 0.9 }));
 * const layer = new LayerNorm(768, presets.keras.layerNorm());
 */
export const presets = {
  keras: {
    batchNorm: ({ momentum = 0.99, epsilon = 1e-3, axis = -1 }: KerasArguments = {}): BatchNormConfig => ({
      eps: epsilon,
      momentum: 1 - momentum,
      unbiasedRunningVar: false,
      onSingleValue: "zero",
      layout: axis === 1 ? "channels-first" : "channels-last",
    }),
    layerNorm: ({ epsilon = 1e-3 }: KerasArguments = {}) => ({ eps: epsilon }),
    rmsNorm: ({ epsilon = 1e-6 }: KerasArguments = {}) => ({ eps: epsilon }),
    groupNorm: ({ epsilon = 1e-3, axis = -1 }: KerasArguments = {}) => ({
      eps: epsilon,
      layout: axis === 1 ? ("channels-first" as const) : ("channels-last" as const),
    }),
  },
  onnx: {
    batchNorm: ({ momentum = 0.9, epsilon = 1e-5 }: OnnxAttributes = {}): BatchNormConfig => ({
      eps: epsilon,
      momentum: 1 - momentum,
      unbiasedRunningVar: false,
    }),
    layerNorm: ({ epsilon = 1e-5 }: OnnxAttributes = {}) => ({ eps: epsilon }),
    rmsNorm: ({ epsilon = 1e-5 }: OnnxAttributes = {}) => ({ eps: epsilon }),
    groupNorm: ({ epsilon = 1e-5 }: OnnxAttributes = {}) => ({ eps: epsilon }),
    instanceNorm: ({ epsilon = 1e-5 }: OnnxAttributes = {}) => ({ eps: epsilon, affine: true }),
  },
} as const;
