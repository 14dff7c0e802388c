/**
 * onnxruntime-web on one thread of wasm: models of one operator, tensors made beforehand, the run as users pay for it.
 */
import * as ort from "onnxruntime-web";
import { imagePresets } from "../../dist/index.js";
import { EPS } from "../operations.mjs";
import { onnxModel } from "./onnx-model.mjs";

export const name = "onnxruntime-web";

const epsilon = { float: EPS };

/** The model of a normalizer: x is fed, the parameters are constants of the model, as they are in real ones. */
const norm =
  (operator, parameters, attributesOf, moreOutputs = []) =>
  ({ shape, inputs, options }) => {
    const { x, ...given } = inputs;
    const extra = moreOutputs.map((output) => [output, given[parameters[0]].shape]);
    return {
      model: onnxModel(operator, {
        inputs: { x: shape },
        constants: Object.fromEntries(parameters.map((key) => [key, given[key]])),
        outputs: { y: shape, ...Object.fromEntries(extra) },
        attributes: attributesOf(options, shape),
      }),
      feeds: { x },
    };
  };

const lastAxis = (_, shape) => ({ axis: shape.length - 1, epsilon });
const batchParameters = ["weight", "bias", "runningMean", "runningVar"];
const channelsFirst = (model) => (problem) => {
  if (problem.options.layout === "channels-last") throw new Error("takes channels first only");
  return model(problem);
};

/**
 * The operators' newest versions within this set: LayerNormalization-17, BatchNormalization-15, RMSNormalization-23,
 * ...
 */
export const operations = {
  imageToTensor: (problem) => imageContestant(problem),
  layerNorm: norm("LayerNormalization", ["weight", "bias"], lastAxis),
  rmsNorm: norm("RMSNormalization", ["weight"], lastAxis),
  batchNormInference: channelsFirst(norm("BatchNormalization", batchParameters, () => ({ epsilon }))),
  batchNorm: channelsFirst(
    norm("BatchNormalization", batchParameters, () => ({ epsilon, training_mode: 1 }), ["newMean", "newVar"]),
  ),
  groupNorm: norm("GroupNormalization", ["weight", "bias"], ({ numGroups }) => ({ epsilon, num_groups: numGroups })),
  instanceNorm: norm("InstanceNormalization", ["weight", "bias"], () => ({ epsilon })),
  /** Gemm, which takes transposed matrices; without it is what MatMul runs as well. */
  matmul: ({ shape, inputs, options: { transposeA, transposeB } }) => ({
    model: onnxModel(transposeA || transposeB ? "Gemm" : "MatMul", {
      inputs: { a: shape, b: shape },
      outputs: { y: shape },
      attributes: { ...(transposeA && { transA: 1 }), ...(transposeB && { transB: 1 }) },
    }),
    feeds: inputs,
  }),
};

/** What Tensor.fromImage asks for, which Node has not. The canvas keeps the pixels that are put on it. */
class PlainImageData {
  constructor(data, width, height) {
    Object.assign(this, { data, width, height });
  }
}
class PlainCanvas {
  getContext() {
    return {
      putImageData: (image) => Object.assign(this, { image }),
      getImageData: () => this.image,
    };
  }
}

/** Tensor.fromImage with a mean and a divisor for each channel, in units of a byte. */
function imageContestant({ inputs: { x } }) {
  const { mean, std } = imagePresets.imagenet;
  const norm = { mean: std.map((value) => 255 * value), bias: mean.map((value) => -255 * value) };
  const image = new PlainImageData(x.data, x.shape[1], x.shape[0]);
  const run = async () => {
    Object.assign(globalThis, { ImageData: PlainImageData, OffscreenCanvas: PlainCanvas });
    try {
      return await ort.Tensor.fromImage(image, { tensorFormat: "RGB", tensorLayout: "NCHW", norm });
    } finally {
      delete globalThis.ImageData;
      delete globalThis.OffscreenCanvas;
    }
  };
  return { run, result: async () => ({ y: (await run()).data }) };
}

/** Its tensors are on the JavaScript heap and copied in and out by each run: the same in both places. */
export async function contestant(makeModel, problem) {
  if (problem.operation === "imageToTensor") return makeModel(problem);
  const { model, feeds } = makeModel(problem);
  const session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
  const tensors = Object.entries(feeds).map(([key, { data, shape }]) => [key, new ort.Tensor("float32", data, shape)]);
  const fed = Object.fromEntries(tensors);
  const run = () => session.run(fed);
  return { run, result: async () => ({ y: (await run()).y.data }), close: () => session.release() };
}

/** Starts the wasm module, which takes part of a second. It leaves a global Worker behind that jax-js would go by. */
export async function open() {
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = "error";
  const worker = Object.getOwnPropertyDescriptor(globalThis, "Worker");
  const model = onnxModel("Abs", { inputs: { x: [1] }, outputs: { y: [1] } });
  const session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
  await session.release();
  if (worker) Object.defineProperty(globalThis, "Worker", worker);
  else delete globalThis.Worker;
}
