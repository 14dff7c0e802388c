/** Kernels of functions that are not affine: exponentials, powers, what divides an element by its surroundings. */
export * from "./kernels.generated";
export { exp, pow } from "./pointwise";
export { planeBoxSum_f64 } from "./window";
