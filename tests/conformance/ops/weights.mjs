/** Methods that work on weights: how the names of a case map to the API. */
export const weights = {
  fold_batch_norm: (api, { w, b, weight, bias, running_mean: runningMean, running_var: runningVar }, { eps, axis }) => {
    const folded = api.foldBatchNorm({ weight: w, bias: b }, { weight, bias, runningMean, runningVar, eps }, { axis });
    return { w: folded.weight, b: folded.bias };
  },
};
