/** Loops of the layers that whiten a batch: Σ^(−1/2)·(x − mean), a weight and a bias. */
import { EPS } from "../../operations/common.mjs";
import { jacobi } from "./products.mjs";

/** Newton steps of iterative norm, where no number is given. */
const STEPS = 5;

function multiply(a, b, n) {
  const product = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let p = 0; p < n; p++) {
      const factor = a[i * n + p];
      for (let j = 0; j < n; j++) product[i * n + j] += factor * b[p * n + j];
    }
  }
  return product;
}

const transposed = (a, n) => a.map((_, i) => a[(i % n) * n + Math.floor(i / n)]);

/** Channels [c, n·s] about their means, and their covariance. */
function centered(x, [n, c, ...spatial]) {
  const s = spatial.reduce((a, b) => a * b, 1);
  const m = n * s;
  const d = new Float64Array(c * m);
  for (let k = 0; k < c; k++) {
    let mean = 0;
    for (let sample = 0; sample < n; sample++) {
      for (let i = 0; i < s; i++) mean += x[(sample * c + k) * s + i] / m;
    }
    for (let sample = 0; sample < n; sample++) {
      for (let i = 0; i < s; i++) d[k * m + sample * s + i] = x[(sample * c + k) * s + i] - mean;
    }
  }
  const sigma = rowProducts(d, d, c, m).map((sum) => sum / m);
  for (let k = 0; k < c; k++) sigma[k * c + k] += EPS;
  return { n, c, s, m, d, sigma };
}

/** a·bᵀ for [c, m]. */
function rowProducts(a, b, c, m) {
  const products = new Float64Array(c * c);
  for (let i = 0; i < c; i++) {
    for (let j = 0; j < c; j++) {
      let sum = 0;
      for (let p = 0; p < m; p++) sum += a[i * m + p] * b[j * m + p];
      products[i * c + j] = sum;
    }
  }
  return products;
}

/** matrix·d for [c, m]. */
function mixRows(matrix, d, c, m) {
  const mixed = new Float64Array(c * m);
  for (let i = 0; i < c; i++) {
    for (let k = 0; k < c; k++) {
      const factor = matrix[i * c + k];
      for (let p = 0; p < m; p++) mixed[i * m + p] += factor * d[k * m + p];
    }
  }
  return mixed;
}

/** Σ^(−1/2) by eigenvectors, and the gradient of Σ from that of it. */
function byEigenvectors(sigma, c) {
  const { values, vectors } = jacobi(sigma.slice(), c);
  const roots = values.map((value) => value ** -0.5);
  const scaled = vectors.map((value, i) => value * roots[Math.floor(i / c)]);
  const root = multiply(transposed(vectors, c), scaled, c);
  const back = (droot) => {
    const inner = multiply(multiply(vectors, droot, c), transposed(vectors, c), c);
    for (let i = 0; i < c; i++) {
      for (let j = 0; j < c; j++) {
        const near = (-roots[i] * roots[j]) / (values[i] * roots[i] + values[j] * roots[j]);
        inner[i * c + j] *= near;
      }
    }
    return multiply(multiply(transposed(vectors, c), inner, c), vectors, c);
  };
  return { root, back };
}

/** The same by Newton's steps P ← (3P − P³·Σ/tr Σ)/2, and back through them. */
function byNewton(sigma, c) {
  let trace = 0;
  for (let k = 0; k < c; k++) trace += sigma[k * c + k];
  const unit = sigma.map((value) => value / trace);
  const steps = [Float64Array.from(sigma, (_, i) => (i % (c + 1) === 0 ? 1 : 0))];
  for (let step = 0; step < STEPS; step++) {
    const p = steps[step];
    const next = multiply(multiply(multiply(p, p, c), p, c), unit, c);
    steps.push(next.map((value, i) => 1.5 * p[i] - 0.5 * value));
  }
  const root = steps[STEPS].map((value) => value / Math.sqrt(trace));
  const back = (droot) => {
    const dp = droot.map((value) => value / Math.sqrt(trace));
    const dunit = new Float64Array(c * c);
    for (let step = STEPS - 1; step >= 0; step--) {
      const pt = transposed(steps[step], c);
      const squaredT = multiply(pt, pt, c);
      const cubedT = multiply(squaredT, pt, c);
      const g = multiply(dp, transposed(unit, c), c);
      const outer = multiply(cubedT, dp, c);
      const first = multiply(g, squaredT, c);
      const second = multiply(multiply(pt, g, c), pt, c);
      const third = multiply(squaredT, g, c);
      for (let i = 0; i < c * c; i++) {
        dunit[i] -= 0.5 * outer[i];
        dp[i] = 1.5 * dp[i] - 0.5 * (first[i] + second[i] + third[i]);
      }
    }
    let dtrace = 0;
    for (let i = 0; i < c * c; i++) dtrace -= (dunit[i] * unit[i]) / trace + (0.5 * droot[i] * root[i]) / trace;
    return dunit.map((value, i) => value / trace + (i % (c + 1) === 0 ? dtrace : 0));
  };
  return { root, back };
}

const forward = (rootOf) =>
  function whiten({ x, weight, bias }, y, { shape }) {
    const { n, c, s, m, d, sigma } = centered(x, shape);
    const white = mixRows(rootOf(sigma, c).root, d, c, m);
    for (let k = 0; k < c; k++) {
      for (let sample = 0; sample < n; sample++) {
        for (let i = 0; i < s; i++) {
          y[(sample * c + k) * s + i] = white[k * m + sample * s + i] * weight[k] + bias[k];
        }
      }
    }
    return { y };
  };

const backward = (rootOf) =>
  function whitenBackward({ x, dy, weight }, dx, { shape }) {
    const { n, c, s, m, d, sigma } = centered(x, shape);
    const { root, back } = rootOf(sigma, c);
    const white = mixRows(root, d, c, m);
    const g = new Float64Array(c * m);
    const dweight = new Float64Array(c);
    const dbias = new Float64Array(c);
    for (let k = 0; k < c; k++) {
      for (let sample = 0; sample < n; sample++) {
        for (let i = 0; i < s; i++) {
          const value = dy[(sample * c + k) * s + i];
          const at = k * m + sample * s + i;
          dweight[k] += value * white[at];
          dbias[k] += value;
          g[at] = value * weight[k];
        }
      }
      let mean = 0;
      for (let p = k * m; p < (k + 1) * m; p++) mean += g[p] / m;
      for (let p = k * m; p < (k + 1) * m; p++) g[p] -= mean;
    }
    const dsigma = back(rowProducts(g, d, c, m));
    const through = mixRows(transposed(root, c), g, c, m);
    const along = mixRows(
      dsigma.map((value, i) => (value + dsigma[(i % c) * c + Math.floor(i / c)]) / m),
      d,
      c,
      m,
    );
    for (let k = 0; k < c; k++) {
      for (let sample = 0; sample < n; sample++) {
        for (let i = 0; i < s; i++) {
          const at = k * m + sample * s + i;
          dx[(sample * c + k) * s + i] = through[at] + along[at];
        }
      }
    }
    return { dx, dweight, dbias };
  };

export const whitened = {
  decorrelatedBatchNorm: forward(byEigenvectors),
  decorrelatedBatchNormBackward: backward(byEigenvectors),
  iterNorm: forward(byNewton),
  iterNormBackward: backward(byNewton),
};
