/** Kernels across rows, for each column by itself, and on vectors with a value for each. */
export { eachGradientOf_f64, eachProduct_f64, eachRstd_f64 } from "./coefficients";
export { colBlockRows, colFold, colScratchBytes, mergeMoments } from "./col-moments";
export * from "./kernels.generated";
