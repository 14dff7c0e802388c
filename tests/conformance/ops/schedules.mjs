/** Schedules: how the names of a case map to the API. */
export const schedules = {
  exponential_learning_rate: (api, _, { lr, weight_decay: weightDecay, momentum, steps }) => ({
    lrs: api.exponentialLearningRate({ lr, weightDecay, momentum, steps }),
  }),
};
