/**
 * The kernels. A name is <row|col><Op>_<f32|f64>; arguments go outputs, inputs, counts in elements, scalars. `row` works
 * along contiguous runs (rows of a matrix, planes of an image), `col` across them, `each` on elements by themselves.
 *
 * The build instantiates every exported function over one type T for f32 and f64, in kernels.generated.ts; functions
 * named `run...` are parts of kernels, for one contiguous run, and are left out. What has but one form is listed here.
 */

export { eachGradientOf_f64, eachProduct_f64, eachRstd_f64 } from "./coefficients";
export { colBlockRows, colFold, colScratchBytes } from "./col-moments";
export {
  addGram_f64,
  choleskyUpper_f64,
  invertUpper_f64,
} from "./comoments";
export {
  asymmetry_f64,
  orientRows_f64,
  rankOneValues_f64,
  rankOneVectors_f64,
  rotateRows_f64,
  transpose_f64,
} from "./eigen";
export {
  blendPixels,
  foursToPlanes,
  foursToTriples,
  pixelsToPlanes,
  pixelsToTriples,
  planesToPixels,
  triplesToPixels,
} from "./images";
export * from "./kernels.generated";
export { matmulScratchBytes } from "./matmul";
export { mergeMoments } from "./moments";
export { unitScratchBytes } from "./norms";
export {
  exp,
  pow,
} from "./pointwise";
export { randomScratchBytes } from "./random";
export {
  applyReflections_f64,
  applyReflectionsScratchBytes,
  bidiagonalize_f64,
  bidiagonalizeScratchBytes,
  triangularize_f64,
  tridiagonalize_f64,
  tridiagonalizeScratchBytes,
} from "./reflect";
export { planeBoxSum_f64 } from "./window";

/** First byte that is not static data. */
export function heapBase(): usize {
  return __heap_base;
}
