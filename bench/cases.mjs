/**
 * The one table that the bench loops over. A row is a name, an operation of operations.mjs, a shape, places, and what
 * the operation is told besides. To add a case, add a row; a new operation gets an entry there and one in each peer
 * that has it.
 */
import { elements } from "./data.mjs";
import { operations } from "./operations.mjs";

/** In linear memory, the results written to tensors that are there; or f32 arrays in, fresh f32 arrays out. */
const BOTH = ["tensor", "heap"];
const TENSOR = ["tensor"];
const HEAP = ["heap"];

const IMAGES = [32, 64, 56, 56];
const ONE_IMAGE = [1, 64, 56, 56];
const channelsLast = ([n, c, ...spatial]) => [n, ...spatial, c];
const NHWC = { layout: "channels-last" };
/** Left out of quick runs: a case that takes seconds, and much like one that stays. */
const SLOW = { slow: true };

const table = [
  ["layer norm, one row", "layerNorm", [1, 768], BOTH],
  ["layer norm", "layerNorm", [64, 768], BOTH],
  ["layer norm", "layerNorm", [512, 768], BOTH],
  ["layer norm", "layerNorm", [4096, 1024], BOTH, SLOW],
  ["layer norm backward", "layerNormBackward", [512, 768], BOTH],
  ["layer norm step (forward and backward)", "layerNormStep", [512, 768], TENSOR],
  ["RMS norm", "rmsNorm", [512, 768], BOTH],
  ["batch norm inference NCHW", "batchNormInference", ONE_IMAGE, BOTH],
  ["batch norm inference NCHW", "batchNormInference", IMAGES, TENSOR],
  ["batch norm inference NCHW", "batchNormInference", IMAGES, HEAP, SLOW],
  ["batch norm inference NHWC", "batchNormInference", channelsLast(ONE_IMAGE), TENSOR, NHWC],
  ["batch norm inference NHWC", "batchNormInference", channelsLast(IMAGES), TENSOR, { ...NHWC, ...SLOW }],
  ["batch norm training NCHW", "batchNorm", IMAGES, TENSOR],
  ["batch norm training NCHW backward", "batchNormBackward", IMAGES, TENSOR],
  ["batch norm training dense", "batchNorm", [256, 1024], BOTH],
  ["batch norm training dense backward", "batchNormBackward", [256, 1024], TENSOR],
  ["batch norm training dense step (forward and backward)", "batchNormStep", [256, 1024], TENSOR],
  ["group norm", "groupNorm", IMAGES, TENSOR, { numGroups: 32 }],
  ["group norm backward", "groupNormBackward", IMAGES, TENSOR, { numGroups: 32 }],
  ["instance norm", "instanceNorm", IMAGES, TENSOR, SLOW],
  ["instance norm backward", "instanceNormBackward", IMAGES, TENSOR, SLOW],
  ["standard scaler, fit and transform", "standardScaler", [100000, 16], TENSOR],
  ["standard scaler, fit and transform", "standardScaler", [100000, 16], HEAP, SLOW],
  ["standard scaler, fit", "standardScalerFit", [10000, 784], BOTH, SLOW],
  ["standard scaler, transform", "standardScalerTransform", [10000, 784], BOTH, SLOW],
  ["rows to unit length", "unitRows", [10000, 384], BOTH, SLOW],
  ["eigenvectors", "eigh", [784, 784], HEAP, SLOW],
  ["matmul", "matmul", [256, 256], BOTH],
  ["matmul", "matmul", [1024, 1024], BOTH, SLOW],
  ["matmul, b transposed", "matmul", [256, 256], TENSOR, { transposeB: true }],
  ["matmul, b transposed", "matmul", [1024, 1024], TENSOR, { transposeB: true, ...SLOW }],
  ["matmul, a transposed", "matmul", [256, 256], TENSOR, { transposeA: true }],
  ["matmul, a transposed", "matmul", [1024, 1024], TENSOR, { transposeA: true, ...SLOW }],
];

/** What a place in the table comes to: everything that the harness and the peers ask for. */
function makeCase(name, key, shape, where, { slow = false, ...options } = {}) {
  const operation = operations[key];
  const description = { shape, ...options };
  return {
    name,
    operation: key,
    shape,
    dtype: "float32",
    where,
    slow,
    options,
    view: operation.view?.(description),
    inputs: () => operation.inputs(description),
    ours: (inputs) => operation.ours(inputs, description),
    bytes: operation.passes * elements(shape) * Float32Array.BYTES_PER_ELEMENT,
    flops: operation.flops?.(description),
  };
}

export const cases = table.flatMap(([name, key, shape, places, options]) =>
  places.map((where) => makeCase(name, key, shape, where, options)),
);

/** From 64 to 16 M elements, by factors of four. */
const SIZES = Array.from({ length: 10 }, (_, i) => 64 * 4 ** i);

/** Rows of up to 1024, and 64 channels. */
const sweepTable = [
  ["layer norm", "layerNorm", (n) => [Math.max(1, n / 1024), Math.min(n, 1024)]],
  ["batch norm inference", "batchNormInference", (n) => [1, 64, n / 64]],
];

/** The cases of each curve of the size sweep. */
export const sweeps = sweepTable.flatMap(([name, key, shapeOf]) =>
  BOTH.map((where) => ({ name, where, cases: SIZES.map((n) => makeCase(name, key, shapeOf(n), where)) })),
);
