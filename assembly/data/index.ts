/** Kernels for data before it is normalized, or in its place: pixels and random numbers. */
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
export { randomScratchBytes } from "./random";
