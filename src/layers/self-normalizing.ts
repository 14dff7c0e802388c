import { checkFinite, checkNumber, fail } from "../core/errors.js";
import { erfc, erfcx, exp } from "../core/special.js";
import { readConstants, SELU_ALPHA, SELU_LAMBDA } from "./selu.js";

export interface MeanVariance {
  mean: number;
  variance: number;
}

export interface WeightSums {
  /** Sum of a unit's weights; 0 in the paper's normalized weights. Default 1: the unit's input has the mean given. */
  weightSum?: number;
  /** Sum of their squares. Default 1: the unit's input has the variance given. */
  weightSquares?: number;
}

export interface MomentMapOptions extends WeightSums {
  /** The constants of the SELU. Default those of `selu`. */
  alpha?: number;
  lambda?: number;
}

/**
 * E[z; z > 0], E[e^z − 1; z ≤ 0], E[z²; z > 0] and E[(e^z − 1)²; z ≤ 0] of a normal z. Where e to a large power meets a
 * small tail, both are taken together: e^(ka + k²s²/2)·Φ(−(a + ks²)/s) = e^(−a²/2s²)·erfcx((a + ks²)/(s√2))/2.
 */
function halves(a: number, s: number): [number, number, number, number] {
  const bell = exp((-a * a) / (2 * s * s));
  const tail = (k: number) => {
    const t = (a + k * s * s) / (s * Math.SQRT2);
    return 0.5 * (t > 0 ? bell * erfcx(t) : exp(k * a + (k * k * s * s) / 2) * erfc(t));
  };
  const above = 0.5 * erfc(-a / (s * Math.SQRT2));
  const density = (s * bell) / 2.5066282746310002;
  const [t0, t1, t2] = [tail(0), tail(1), tail(2)];
  return [a * above + density, t1 - t0, (a * a + s * s) * above + a * density, t2 - 2 * t1 + t0];
}

function readInput(method: string, mean: number, variance: number, sums: WeightSums): { a: number; s: number } {
  const { weightSum = 1 } = sums;
  checkFinite(method, "mean", mean);
  checkFinite(method, "weightSum", weightSum);
  checkNumber(method, "variance", variance, 0, true);
  const squares = checkNumber(method, "weightSquares", sums.weightSquares ?? 1, 0, true);
  return { a: mean * weightSum, s: Math.sqrt(variance * squares) };
}

/**
 * What a layer of SELU units does to mean and variance: those of selu(z), z normal with mean·weightSum and
 * variance·weightSquares.
 *
 * With a fixed point that attracts (0 and 1 for the default constants), activations keep their mean and variance
 * through any number of layers. Throws where variance or weightSquares is not above 0.
 *
 * Source: G. Klambauer, T. Unterthiner, A. Mayr, S. Hochreiter, "Self-Normalizing Neural Networks", 2017,
 * arXiv:1706.02515, equations 4 and 5.
 *
 * @example
 * momentMap(0.1, 1.2, { weightSum: 0 }); // { mean: 0.0179..., variance: 1.1530... }
 */
export function momentMap(mean: number, variance: number, options: MomentMapOptions = {}): MeanVariance {
  const method = "momentMap";
  const { a, s } = readInput(method, mean, variance, options);
  const { alpha, lambda } = readConstants(method, options);
  const [first, firstBelow, second, secondBelow] = halves(a, s);
  const next = lambda * (first + alpha * firstBelow);
  return { mean: next, variance: lambda * lambda * (second + alpha * alpha * secondBelow) - next * next };
}

/**
 * The constants of the SELU for which a mean and variance are a fixed point of `momentMap`.
 *
 * Newton's method on lambda·(E₁ + alpha·E₂) = mean and lambda²·(E₃ + alpha²·E₄) = variance + mean², which are linear in
 * lambda and alpha once the expectations are known. (0, 1) gives alpha 1.6732632423543772, lambda 1.0507009873554805.
 * Throws where variance is not above 0 or no positive constants have this fixed point.
 *
 * Source: G. Klambauer, T. Unterthiner, A. Mayr, S. Hochreiter, "Self-Normalizing Neural Networks", 2017,
 * arXiv:1706.02515, equation 14 for (0, 1).
 *
 * @example
 * const { alpha, lambda } = selfNormalizingConstants(-0.1, 2); // 1.9769..., 1.0738...
 * const y = selu(x, { alpha, lambda });
 */
export function selfNormalizingConstants(
  mean = 0,
  variance = 1,
  options: WeightSums = {},
): { alpha: number; lambda: number } {
  const method = "selfNormalizingConstants";
  const { a, s } = readInput(method, mean, variance, options);
  const [first, firstBelow, second, secondBelow] = halves(a, s);
  const wanted = variance + mean * mean;
  let alpha = SELU_ALPHA;
  let lambda = SELU_LAMBDA;
  for (let step = 0; step < 100; step++) {
    const sum = first + alpha * firstBelow;
    const squares = second + alpha * alpha * secondBelow;
    const f = lambda * sum - mean;
    const g = lambda * lambda * squares - wanted;
    const [fa, fl, ga, gl] = [
      lambda * firstBelow,
      sum,
      2 * lambda * lambda * alpha * secondBelow,
      2 * lambda * squares,
    ];
    const determinant = fa * gl - fl * ga;
    let [da, dl] = [(f * gl - fl * g) / determinant, (fa * g - f * ga) / determinant];
    if (!Number.isFinite(da) || !Number.isFinite(dl)) break;
    while (alpha - da <= 0 || lambda - dl <= 0) {
      da /= 2;
      dl /= 2;
    }
    alpha -= da;
    lambda -= dl;
    if (!(Math.abs(da) > 4e-16 * alpha) && !(Math.abs(dl) > 4e-16 * lambda)) break;
  }
  const residual = Math.abs(lambda * (first + alpha * firstBelow) - mean);
  const residualSquares = Math.abs(lambda * lambda * (second + alpha * alpha * secondBelow) - wanted);
  if (!(residual < 1e-12 * (1 + Math.abs(mean)) && residualSquares < 1e-12 * wanted)) {
    fail(
      method,
      `no positive alpha and lambda have the fixed point mean ${mean}, variance ${variance}; try a mean nearer 0`,
    );
  }
  return { alpha, lambda };
}
