/**
 * The kernels. A name is <row|col><Op>_<f32|f64>; arguments go outputs, inputs, counts in elements, scalars. `row` works
 * along contiguous runs (rows of a matrix, planes of an image), `col` across them, `each` on elements by themselves,
 * `cross` on rows and columns together.
 */
export {
  colAffine_f32,
  colAffine_f64,
  rowAffine_f32,
  rowAffine_f64,
  rowStandardize_f32,
  rowStandardize_f64,
} from "./affine";
export {
  addGram_f64,
  choleskyUpper_f64,
  colCenterWide_f32,
  colCenterWide_f64,
  invertUpper_f64,
} from "./comoments";
export {
  crossGrad_f32,
  crossGrad_f64,
  crossGradSums_f32,
  crossGradSums_f64,
  crossStandardize_f32,
  crossStandardize_f64,
} from "./cross";
export {
  asymmetry_f64,
  orientRows_f64,
  rankOneValues_f64,
  rankOneVectors_f64,
  rotateRows_f64,
  transpose_f64,
} from "./eigen";
export {
  colMinMax_f32,
  colMinMax_f64,
  rowClamp_f32,
  rowClamp_f64,
  rowMaxAbs_f32,
  rowMaxAbs_f64,
  rowNorm1_f32,
  rowNorm1_f64,
  rowNorm2_f32,
  rowNorm2_f64,
  rowSign_f32,
  rowSign_f64,
  rowUnit1_f32,
  rowUnit1_f64,
  rowUnit2_f32,
  rowUnit2_f64,
  rowUnitMax_f32,
  rowUnitMax_f64,
} from "./extrema";
export {
  rowNormalize_f32,
  rowNormalize_f64,
  rowNormalizeGrad_f32,
  rowNormalizeGrad_f64,
} from "./fused";
export {
  colGradAffine_f32,
  colGradAffine_f64,
  colGradSums_f32,
  colGradSums_f64,
  colWeightGrad_f32,
  colWeightGrad_f64,
  rowGradAffine_f32,
  rowGradAffine_f64,
  rowGradSums_f32,
  rowGradSums_f64,
  rowStandardizeGrad_f32,
  rowStandardizeGrad_f64,
  rowWeightedGradSums_f32,
  rowWeightedGradSums_f64,
} from "./gradient";
export {
  blendPixels,
  foursToPlanes,
  foursToTriples,
  pixelsToPlanes,
  pixelsToTriples,
  planesToPixels,
  triplesToPixels,
} from "./images";
export {
  compactRows_f32,
  compactRows_f64,
  eachChoose_f32,
  eachChoose_f64,
  zeroRows_f32,
  zeroRows_f64,
} from "./masks";
export {
  matmul_f32,
  matmul_f64,
  matmulScratchBytes,
  multiplyAdd_f64,
} from "./matmul";
export {
  colCombine_f32,
  colCombine_f64,
  rowDot_f32,
  rowDot_f64,
  rowOuter_f32,
  rowOuter_f64,
} from "./matvec";
export {
  colBlockRows,
  colMoments_f32,
  colMoments_f64,
  colMomentsWeighted_f32,
  colMomentsWeighted_f64,
  colMomentsWide_f32,
  colMomentsWide_f64,
  colScratchBytes,
  mergeMoments,
  rowBlock_f32,
  rowBlock_f64,
  rowMoments_f32,
  rowMoments_f64,
  rowSquares_f32,
  rowSquares_f64,
} from "./moments";
export {
  rowPatches_f32,
  rowPatches_f64,
  rowPatchesAdd_f32,
  rowPatchesAdd_f64,
} from "./patches";
export {
  eachAdd_f32,
  eachAdd_f64,
  eachExp_f32,
  eachExp_f64,
  eachExpLinear_f32,
  eachExpLinear_f64,
  eachExpLinearGrad_f32,
  eachExpLinearGrad_f64,
  eachGate_f32,
  eachGate_f64,
  eachMultiply_f32,
  eachMultiply_f64,
  eachMultiplyAdd_f32,
  eachMultiplyAdd_f64,
  eachSigmoid_f32,
  eachSigmoid_f64,
  eachSigmoidGrad_f32,
  eachSigmoidGrad_f64,
  eachTanh_f32,
  eachTanh_f64,
  eachTanhGrad_f32,
  eachTanhGrad_f64,
  exp,
  pow,
} from "./pointwise";
export {
  colGradPower_f32,
  colGradPower_f64,
  colPowerSums_f32,
  colPowerSums_f64,
  rowGradPower_f32,
  rowGradPower_f64,
  rowPowerSums_f32,
  rowPowerSums_f64,
} from "./powers";
export {
  rowKeep,
  rowNormal_f32,
  rowNormal_f64,
} from "./random";
export {
  applyReflections_f64,
  applyReflectionsScratchBytes,
  bidiagonalize_f64,
  bidiagonalizeScratchBytes,
  triangularize_f64,
  tridiagonalize_f64,
  tridiagonalizeScratchBytes,
} from "./reflect";
export {
  colWindowSquares_f32,
  colWindowSquares_f64,
  colWindowSum_f32,
  colWindowSum_f64,
  eachPowerLessProduct_f32,
  eachPowerLessProduct_f64,
  eachProductTimesPower_f32,
  eachProductTimesPower_f64,
  eachTimesPower_f32,
  eachTimesPower_f64,
  planeBoxSum_f64,
  rowWindowSquares_f32,
  rowWindowSquares_f64,
  rowWindowSum_f32,
  rowWindowSum_f64,
} from "./window";

/** First byte that is not static data. */
export function heapBase(): usize {
  return __heap_base;
}
