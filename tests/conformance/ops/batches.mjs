/** Relatives of batch norm and mixtures of normalizers: how the names of a case map to the API. */
import { both } from "./activations.mjs";

export const batches = {
  batch_renorm: (api, { x, weight, bias, running_mean: runningMean, running_std: runningStd, dy }, attrs) => {
    const { mode, eps, momentum, r_max: rMax, d_max: dMax } = attrs;
    const options = { mode, eps, momentum, rMax, dMax, weight, bias, runningMean, runningStd };
    const forward = api.batchRenormForward(x, options);
    const outputs = both(() => forward, api.batchRenormBackward, { dy });
    return { ...outputs, running_std: forward.running.runningStd };
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
};
