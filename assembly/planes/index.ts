/** Kernels on planes of images: runs and groups of runs that share statistics or coefficients. */
export * from "./kernels.generated";
