/** Relatives of batch norm and mixtures of normalizers: how the names of a case map to the API. */
import { both } from "./activations.mjs";
import { cut } from "./scalers.mjs";

/** Tensors laid end to end. */
function joined(parts) {
  const data = new Float64Array(parts.flatMap((part) => Array.from(part.data)));
  const [, ...rest] = parts[0].shape;
  return { data, shape: [parts.reduce((rows, part) => rows + part.shape[0], 0), ...rest] };
}

export const batches = {
  batch_renorm: (api, { x, weight, bias, running_mean: runningMean, running_std: runningStd, dy }, attrs) => {
    const { mode, eps, momentum, r_max: rMax, d_max: dMax } = attrs;
    const options = { mode, eps, momentum, rMax, dMax, weight, bias, runningMean, runningStd };
    const forward = api.batchRenormForward(x, options);
    const outputs = both(() => forward, api.batchRenormBackward, { dy });
    return { ...outputs, running_std: forward.running?.runningStd };
  },

  ghost_batch_norm: (api, inputs, attrs) =>
    both(
      () =>
        api.ghostBatchNormForward(inputs.x, {
          ghostBatchSize: attrs.ghost_batch_size,
          eps: attrs.eps,
          momentum: attrs.momentum,
          unbiasedRunningVar: attrs.unbiased_running_var,
          weight: inputs.weight,
          bias: inputs.bias,
          runningMean: inputs.running_mean,
          runningVar: inputs.running_var,
        }),
      api.ghostBatchNormBackward,
      inputs,
    ),

  mean_only_batch_norm: (api, { x, bias, running_mean: runningMean, dy }, { mode, momentum }) =>
    both(() => api.meanOnlyBatchNormForward(x, { mode, momentum, bias, runningMean }), api.meanOnlyBatchNormBackward, {
      dy,
    }),

  batch_instance_norm: (api, inputs, { mode, eps, momentum }) => {
    const { x, rho, weight, bias, running_mean: runningMean, running_var: runningVar } = inputs;
    const options = { mode, eps, momentum, rho, weight, bias, runningMean, runningVar };
    return both(() => api.batchInstanceNormForward(x, options), api.batchInstanceNormBackward, inputs);
  },

  ada_in: (api, { content, style, dy }, { eps, alpha }) =>
    both(() => api.adaINForward(content, style, { eps, alpha }), api.adaINBackward, { dy }),

  virtual_batch_norm: (api, { reference, x, weight, bias, dy }, { eps }) =>
    both(() => api.virtualBatchNormForward(x, { reference, eps, weight, bias }), api.virtualBatchNormBackward, { dy }),

  switchable_norm: (api, inputs, { mode, eps, momentum }) => {
    const { x, weight, bias, mean_logits: meanLogits, var_logits: varLogits } = inputs;
    const running = { runningMean: inputs.running_mean, runningVar: inputs.running_var };
    const options = { mode, eps, momentum, weight, bias, meanLogits, varLogits, ...running };
    const outputs = both(() => api.switchableNormForward(x, options), api.switchableNormBackward, inputs);
    return { ...outputs, dmean_logits: outputs.dmeanLogits, dvar_logits: outputs.dvarLogits };
  },

  sync_batch_norm: (api, inputs, { shards, eps, momentum }) => {
    const { x, weight, bias, running_mean: runningMean, running_var: runningVar, dy } = inputs;
    const options = { eps, momentum, weight, bias, runningMean, runningVar };
    const { ys, saved, running } = api.syncBatchNormForward(cut(x, shards), options);
    const outputs = { y: joined(ys), running_mean: running?.runningMean, running_var: running?.runningVar };
    if (dy === undefined) return outputs;
    const { dxs, dweight, dbias } = api.syncBatchNormBackward(cut(dy, shards), saved);
    return { ...outputs, dx: joined(dxs), dweight, dbias };
  },

  ada_bn: (api, { x }, { batch_size: size }) => {
    if (!Number.isInteger(size) || size < 1)
      throw new RangeError(`case: batch_size must be a whole number above 0, got ${size}`);
    const rows = x.shape[0];
    const sizes = Array.from({ length: Math.ceil(rows / size) }, (_, i) => Math.min(size, rows - i * size));
    const norm = new api.BatchNorm(x.shape[1], { dtype: "float64", unbiasedRunningVar: false });
    api.adaptBatchNorm(norm, cut(x, sizes));
    return { mean: norm.runningMean, var: norm.runningVar };
  },

  lp_batch_norm: (api, { x, weight, bias, dy }, { p, eps, gaussian_scale: gaussianScale }) =>
    both(() => api.lpBatchNormForward(x, { p, eps, gaussianScale, weight, bias }), api.lpBatchNormBackward, { dy }),

  streaming_norm: (api, { xs, weight, bias }, { p, alpha, kappa, updates, eps }) => ({
    ys: api.streamingNorm(xs, { p, alpha, kappa, updates, eps, weight, bias }),
  }),
};
