/** What the files of operations share: inputs, views, and our calls in the forms that most methods have. */
import * as api from "../../dist/index.js";
import { elements, normInputs, random } from "../data.mjs";

/** The functions of the library, to be had by name. */
export const functions = { ...api };

/** The epsilon of every normalizer here. */
export const EPS = 1e-5;

export const channelsOf = ({ shape, layout }) => (layout === "channels-last" ? shape.at(-1) : shape[1]);

/** Each row of the last dimension for itself. */
export const rowView = ({ shape }) => ({
  shape: [elements(shape) / shape.at(-1), shape.at(-1)],
  axes: [1],
  parameters: [shape.at(-1)],
});

/** Each channel over samples and positions. */
export function channelView({ shape, layout }) {
  const c = channelsOf({ shape, layout });
  if (layout === "channels-last" || shape.length === 2) {
    return { shape: [elements(shape) / c, c], axes: [0], parameters: [c] };
  }
  return { shape: [shape[0], c, elements(shape.slice(2))], axes: [0, 2], parameters: [1, c, 1] };
}

/** Each group of channels of each sample. */
export function groupView({ shape: [n, c, ...spatial], numGroups = c }) {
  const perGroup = c / numGroups;
  return { shape: [n, numGroups, perGroup, elements(spatial)], axes: [2, 3], parameters: [1, numGroups, perGroup, 1] };
}

export const rowInputs = ({ shape }) => normInputs(shape, shape.at(-1));
export const channelInputs = ({ shape, layout }) => normInputs(shape, channelsOf({ shape, layout }));
export const withGradient = (inputs) => (c) => ({ ...inputs(c), dy: random(c.shape, { seed: 4 }) });

/** A forward pass of ours by its function, its options taken from the inputs and the case. */
export const forward = (norm, optionsOf) => (inputs, c) => {
  const options = { eps: EPS, weight: inputs.weight, bias: inputs.bias, ...optionsOf(inputs, c) };
  // The same object for each call: spreading it into a new one takes longer than the layer norm of a row.
  return (out) => {
    options.out = out;
    return { y: norm(inputs.x, options) };
  };
};

/** A backward pass alone: the forward pass is run once, before. */
export const backward = (normForward, normBackward, optionsOf) => (inputs, c) => {
  const options = { eps: EPS, weight: inputs.weight, bias: inputs.bias, ...optionsOf(inputs, c) };
  const { saved } = normForward(inputs.x, options);
  return (out) => normBackward(inputs.dy, saved, { out });
};

/** Forward and backward, as in one step of training; `out` takes y. */
export const step = (normForward, normBackward, optionsOf) => (inputs, c) => {
  const options = { eps: EPS, weight: inputs.weight, bias: inputs.bias, ...optionsOf(inputs, c) };
  return (out) => {
    options.out = out;
    return normBackward(inputs.dy, normForward(inputs.x, options).saved);
  };
};

/** A method's two operations, under `key` and `keyBackward`. */
export const bothWays = (key, { view, inputs }, [norm, normForward, normBackward], optionsOf = () => ({})) => ({
  [key]: { view, inputs, ours: forward(norm, optionsOf), passes: 2 },
  [`${key}Backward`]: {
    view,
    inputs: withGradient(inputs),
    ours: backward(normForward, normBackward, optionsOf),
    passes: 3,
  },
});
