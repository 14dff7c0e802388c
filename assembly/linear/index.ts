/** Kernels of linear algebra: products and decompositions of matrices. */
export { addGram_f64, choleskyUpper_f64, invertUpper_f64 } from "./comoments";
export {
  asymmetry_f64,
  orientRows_f64,
  rankOneValues_f64,
  rankOneVectors_f64,
  rotateRows_f64,
  transpose_f64,
} from "./eigen";
export * from "./kernels.generated";
export { matmulScratchBytes } from "./matmul";
export {
  applyReflections_f64,
  applyReflectionsScratchBytes,
  bidiagonalize_f64,
  bidiagonalizeScratchBytes,
  triangularize_f64,
  tridiagonalize_f64,
  tridiagonalizeScratchBytes,
} from "./reflect";
