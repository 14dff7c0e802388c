/** Kernels along rows, which are contiguous runs: of a matrix, or the planes of an image. */
export { weightGradBlockRows, weightGradScratchBytes } from "./gradient";
export * from "./kernels.generated";
export { unitScratchBytes } from "./norms";
