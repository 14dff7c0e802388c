/** TensorFlow.js with its wasm backend (SIMD; in Node it has one thread). */
import tf from "@tensorflow/tfjs";
import "@tensorflow/tfjs-backend-wasm";
import { imagePresets } from "../../dist/index.js";
import { EPS } from "../operations.mjs";

export const name = "tfjs wasm";

/** The operations that tf.layers are made of; the deviations are squared by hand, which is faster than tf.moments. */
function normalize(x, weight, bias, { shape, axes, parameters }) {
  const view = tf.reshape(x, shape);
  const centered = tf.sub(view, tf.mean(view, axes, true));
  const variance = tf.mean(tf.square(centered), axes, true);
  const scaled = tf.mul(tf.mul(centered, tf.rsqrt(tf.add(variance, EPS))), tf.reshape(weight, parameters));
  return tf.reshape(tf.add(scaled, tf.reshape(bias, parameters)), x.shape);
}

function rmsNorm({ x, weight }) {
  const meanSquare = tf.mean(tf.square(x), -1, true);
  return { y: tf.mul(tf.mul(x, tf.rsqrt(tf.add(meanSquare, EPS))), weight) };
}

/** tf.batchNorm takes channels last; channels first it computes wrongly, so there the map is folded and applied. */
function batchNormInference({ x, weight, bias, runningMean, runningVar }, { options, view }) {
  if (options.layout === "channels-last") return { y: tf.batchNorm(x, runningMean, runningVar, bias, weight, EPS) };
  const scale = tf.mul(weight, tf.rsqrt(tf.add(runningVar, EPS)));
  const shift = tf.sub(bias, tf.mul(runningMean, scale));
  const scaled = tf.mul(tf.reshape(x, view.shape), tf.reshape(scale, view.parameters));
  return { y: tf.reshape(tf.add(scaled, tf.reshape(shift, view.parameters)), x.shape) };
}

const forward = ({ x, weight, bias }, { view }) => ({ y: normalize(x, weight, bias, view) });

/** Gradients come only together with the forward pass that they are of. */
function step({ x, weight, bias, dy }, { view }) {
  const gradients = tf.grads((...leaves) => normalize(...leaves, view));
  const [dx, dweight, dbias] = gradients([x, weight, bias], dy);
  return { dx, dweight, dbias };
}

function standardScaler({ x }) {
  const centered = tf.sub(x, tf.mean(x, 0));
  return { y: tf.mul(centered, tf.rsqrt(tf.mean(tf.square(centered), 0))) };
}

/** The bytes are uploaded by each call, as an image that comes in is; alpha is left out by fromPixels. */
function imageToTensor({ x }) {
  const [height, width] = x.shape;
  const pixels = tf.browser.fromPixels({ data: new Uint8Array(x.data.buffer), width, height });
  const scaled = tf.div(
    tf.sub(tf.div(tf.cast(pixels, "float32"), 255), imagePresets.imagenet.mean),
    imagePresets.imagenet.std,
  );
  return { y: tf.transpose(scaled, [2, 0, 1]) };
}

export const operations = {
  imageToTensor,
  layerNorm: forward,
  layerNormStep: step,
  rmsNorm,
  batchNormInference,
  batchNorm: forward,
  batchNormStep: step,
  groupNorm: forward,
  instanceNorm: forward,
  standardScaler,
  matmul: ({ a, b }, { options: { transposeA, transposeB } }) => ({ y: tf.matMul(a, b, transposeA, transposeB) }),
};

/** Floats go to the backend; bytes of an image stay as they are. */
const upload = (inputs) => {
  const place = (given) => (given.data instanceof Float32Array ? tf.tensor(given.data, given.shape) : given);
  return Object.fromEntries(Object.entries(inputs).map(([key, given]) => [key, place(given)]));
};
const dispose = (tensors) => {
  for (const tensor of Object.values(tensors)) tensor.dispose?.();
};

/**
 * In place "tensor" everything stays in the backend; in place "heap" x goes in and the result comes out in each call.
 */
export function contestant(formula, problem) {
  const kept = upload(problem.inputs);
  const { where } = problem;
  const heapKeys = Object.keys(kept).filter((key) => ["x", "dy", "a", "b"].includes(key));
  const compute = (inputs) => tf.tidy(() => formula(inputs, problem));
  const read = (results) => Object.fromEntries(Object.entries(results).map(([key, t]) => [key, t.dataSync()]));
  const result = () => {
    const fresh = where === "heap" ? upload(Object.fromEntries(heapKeys.map((key) => [key, problem.inputs[key]]))) : {};
    const results = compute({ ...kept, ...fresh });
    const values = read(results);
    dispose({ ...results, ...fresh });
    return values;
  };
  const run = where === "heap" ? result : () => dispose(compute(kept));
  return { run, result, close: () => dispose(kept) };
}

export async function open() {
  if (!(await tf.setBackend("wasm"))) throw new Error("its wasm backend does not start");
  await tf.ready();
}
