/** Kernels along rows of a matrix, which are contiguous runs. */
export { weightGradBlockRows, weightGradScratchBytes } from "./gradient";
export * from "./kernels.generated";
export { unitScratchBytes } from "./norms";
