/** Loops of matrix products, decompositions, linear layers and convolutions. */
import { normPropRelu } from "../../../dist/index.js";

/**
 * The order i, p, j, which reads rows of b, is what a careful author writes; a transposed b is read as rows of its own.
 */
function matmul({ a, b }, y, { shape: [n], options: { transposeA, transposeB } }) {
  if (transposeB) {
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) {
        let sum = 0;
        for (let p = 0; p < n; p++) sum += a[i * n + p] * b[j * n + p];
        y[i * n + j] = sum;
      }
    }
    return { y };
  }
  y.fill(0);
  for (let i = 0; i < n; i++) {
    for (let p = 0; p < n; p++) {
      const factor = transposeA ? a[p * n + i] : a[i * n + p];
      for (let j = 0; j < n; j++) y[i * n + j] += factor * b[p * n + j];
    }
  }
  return { y };
}

/** Eigenvalues of a symmetric matrix, which is changed, and its eigenvectors as rows: cyclic Jacobi rotations. */
export function jacobi(a, n) {
  const vectors = new Float64Array(n * n);
  for (let i = 0; i < n; i++) vectors[i * n + i] = 1;
  for (let sweep = 0; sweep < 30; sweep++) {
    let off = 0;
    let all = 0;
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) {
        all += a[i * n + j] ** 2;
        if (i < j) off += a[i * n + j] ** 2;
      }
    }
    if (off <= 1e-20 * all) break;
    for (let p = 0; p < n - 1; p++) {
      for (let q = p + 1; q < n; q++) {
        const apq = a[p * n + q];
        if (apq === 0) continue;
        const theta = (a[q * n + q] - a[p * n + p]) / (2 * apq);
        const t = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1));
        const cos = 1 / Math.sqrt(t * t + 1);
        const sin = t * cos;
        for (let i = 0; i < n; i++) {
          const [x, y] = [a[i * n + p], a[i * n + q]];
          a[i * n + p] = cos * x - sin * y;
          a[i * n + q] = sin * x + cos * y;
        }
        for (let i = 0; i < n; i++) {
          const x = a[p * n + i];
          const y = a[q * n + i];
          a[p * n + i] = cos * x - sin * y;
          a[q * n + i] = sin * x + cos * y;
          const v = vectors[p * n + i];
          const w = vectors[q * n + i];
          vectors[p * n + i] = cos * v - sin * w;
          vectors[q * n + i] = sin * v + cos * w;
        }
      }
    }
  }
  return { values: Float64Array.from({ length: n }, (_, i) => a[i * n + i]), vectors };
}

/** One-sided Jacobi rotations: rows of u become orthogonal, their lengths the singular values; v turns with them. */
export function rotateRows(u, v, rows, n) {
  for (let sweep = 0; sweep < 30; sweep++) {
    let turned = false;
    for (let p = 0; p < rows - 1; p++) {
      for (let q = p + 1; q < rows; q++) {
        let pp = 0;
        let qq = 0;
        let pq = 0;
        for (let i = 0; i < n; i++) {
          pp += u[p * n + i] * u[p * n + i];
          qq += u[q * n + i] * u[q * n + i];
          pq += u[p * n + i] * u[q * n + i];
        }
        if (Math.abs(pq) <= 1e-12 * Math.sqrt(pp * qq)) continue;
        turned = true;
        const theta = (qq - pp) / (2 * pq);
        const t = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1));
        const cos = 1 / Math.sqrt(t * t + 1);
        const sin = t * cos;
        for (let i = 0; i < n; i++) {
          const x = u[p * n + i];
          const y = u[q * n + i];
          u[p * n + i] = cos * x - sin * y;
          u[q * n + i] = sin * x + cos * y;
        }
        for (let i = 0; i < rows; i++) {
          const x = v[p * rows + i];
          const y = v[q * rows + i];
          v[p * rows + i] = cos * x - sin * y;
          v[q * rows + i] = sin * x + cos * y;
        }
      }
    }
    if (!turned) return;
  }
}

const descending = (values) => values.sort((a, b) => b - a);

const eigh = ({ x }, _, { shape: [n] }) => ({ values: jacobi(Float64Array.from(x), n).values.sort() });

function svd({ x }, _, { shape: [rows, n] }) {
  const u = Float64Array.from(x);
  rotateRows(u, new Float64Array(rows * rows), rows, n);
  const values = new Float64Array(rows);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < n; j++) values[i] += u[i * n + j] ** 2;
    values[i] = Math.sqrt(values[i]);
  }
  return { values: descending(values) };
}

/** y[i, j] = a row of x by a row of w. */
function timesTransposed(x, w, y, n, units, features) {
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < units; j++) {
      let sum = 0;
      for (let p = 0; p < features; p++) sum += x[i * features + p] * w[j * features + p];
      y[i * units + j] = sum;
    }
  }
}

/** 1/length of each row. */
export function inverseLengths(x, rows, n) {
  const inverse = new Float64Array(rows);
  for (let row = 0; row < rows; row++) {
    let sum = 0;
    for (let i = row * n; i < (row + 1) * n; i++) sum += x[i] * x[i];
    inverse[row] = 1 / Math.sqrt(sum);
  }
  return inverse;
}

/** Gradients of y = x·wᵀ: dx += d·w, dw += dᵀ·x. */
function productGradients(d, x, w, dx, dw, n, units, features) {
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < units; j++) {
      const g = d[i * units + j];
      for (let p = 0; p < features; p++) {
        dx[i * features + p] += g * w[j * features + p];
        dw[j * features + p] += g * x[i * features + p];
      }
    }
  }
}

/** The gradient of rows of length 1 brought back to that of the rows, in place. */
function throughLengths(d, rows, inverse, count, n) {
  for (let row = 0; row < count; row++) {
    let along = 0;
    for (let i = row * n; i < (row + 1) * n; i++) along += d[i] * rows[i];
    along *= inverse[row] ** 2;
    for (let i = row * n; i < (row + 1) * n; i++) d[i] = (d[i] - rows[i] * along) * inverse[row];
  }
}

function cosineLinear({ x, w }, y, { shape: [n, features], options: { units } }) {
  timesTransposed(x, w, y, n, units, features);
  const [ofX, ofW] = [inverseLengths(x, n, features), inverseLengths(w, units, features)];
  for (let i = 0; i < n; i++) for (let j = 0; j < units; j++) y[i * units + j] *= ofX[i] * ofW[j];
  return { y };
}

function cosineLinearBackward({ x, w, dy }, _, { shape: [n, features], options: { units } }) {
  const [ofX, ofW] = [inverseLengths(x, n, features), inverseLengths(w, units, features)];
  const directions = x.map((value, i) => value * ofX[Math.floor(i / features)]);
  const unitWeights = w.map((value, i) => value * ofW[Math.floor(i / features)]);
  const dx = new Float32Array(n * features);
  const dw = new Float32Array(units * features);
  productGradients(dy, directions, unitWeights, dx, dw, n, units, features);
  throughLengths(dx, x, ofX, n, features);
  throughLengths(dw, w, ofW, units, features);
  return { dx, dw };
}

function normPropLinear({ x, w, gamma, beta }, y, { shape: [n, features], options: { units } }) {
  timesTransposed(x, w, y, n, units, features);
  const inverse = inverseLengths(w, units, features);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < units; j++) {
      const z = y[i * units + j] * inverse[j] * gamma[j] + beta[j];
      y[i * units + j] = (Math.max(0, z) - normPropRelu.mean) / normPropRelu.deviation;
    }
  }
  return { y };
}

function normPropLinearBackward({ x, w, gamma, beta, dy }, _, { shape: [n, features], options: { units } }) {
  const z = new Float32Array(n * units);
  timesTransposed(x, w, z, n, units, features);
  const inverse = inverseLengths(w, units, features);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < units; j++) {
      const isOn = z[i * units + j] * inverse[j] * gamma[j] + beta[j] > 0;
      z[i * units + j] = isOn ? (dy[i * units + j] * gamma[j]) / normPropRelu.deviation : 0;
    }
  }
  const dx = new Float32Array(n * features);
  const dw = new Float32Array(units * features);
  const unitWeights = w.map((value, i) => value * inverse[Math.floor(i / features)]);
  productGradients(z, x, unitWeights, dx, dw, n, units, features);
  throughLengths(dw, w, inverse, units, features);
  return { dx, dw };
}

/** Windows of 3 by 3 with zeros around; `x` without weights gives the windows' squared lengths. */
function convolve(x, w, y, [n, c, h, width], units) {
  y.fill(0);
  for (let sample = 0; sample < n; sample++) {
    for (let unit = 0; unit < units; unit++) {
      for (let k = 0; k < c; k++) {
        for (let p = 0; p < 3; p++) {
          for (let q = 0; q < 3; q++) {
            const factor = w[((unit * c + k) * 3 + p) * 3 + q];
            const [from, to] = [Math.max(0, 1 - q), Math.min(width, width + 1 - q)];
            for (let i = Math.max(0, 1 - p); i < Math.min(h, h + 1 - p); i++) {
              const source = ((sample * c + k) * h + i + p - 1) * width + q - 1;
              const target = ((sample * units + unit) * h + i) * width;
              for (let j = from; j < to; j++) y[target + j] += factor * x[source + j];
            }
          }
        }
      }
    }
  }
}

/** 1/length of what each window sees. */
function windowLengths(x, [n, c, h, width]) {
  const squares = x.map((value) => value * value);
  const sums = new Float32Array(n * h * width);
  convolve(squares, new Float32Array(9 * c).fill(1), sums, [n, c, h, width], 1);
  return sums.map((sum) => 1 / Math.sqrt(sum));
}

function convolutionGradients(d, x, w, dx, dw, [n, c, h, width], units) {
  for (let sample = 0; sample < n; sample++) {
    for (let unit = 0; unit < units; unit++) {
      for (let k = 0; k < c; k++) {
        for (let p = 0; p < 3; p++) {
          for (let q = 0; q < 3; q++) {
            const at = ((unit * c + k) * 3 + p) * 3 + q;
            const factor = w[at];
            const [from, to] = [Math.max(0, 1 - q), Math.min(width, width + 1 - q)];
            let sum = 0;
            for (let i = Math.max(0, 1 - p); i < Math.min(h, h + 1 - p); i++) {
              const source = ((sample * c + k) * h + i + p - 1) * width + q - 1;
              const target = ((sample * units + unit) * h + i) * width;
              for (let j = from; j < to; j++) {
                sum += d[target + j] * x[source + j];
                dx[source + j] += factor * d[target + j];
              }
            }
            dw[at] += sum;
          }
        }
      }
    }
  }
}

function cosineConv({ x, w }, y, { shape, options: { units } }) {
  const [n, c, h, width] = shape;
  convolve(x, w, y, shape, units);
  const [ofX, ofW] = [windowLengths(x, shape), inverseLengths(w, units, 9 * c)];
  const s = h * width;
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < units; j++) for (let p = 0; p < s; p++) y[(i * units + j) * s + p] *= ofX[i * s + p] * ofW[j];
  }
  return { y };
}

function cosineConvBackward({ x, w, dy }, _, { shape, options: { units } }) {
  const [n, c, h, width] = shape;
  const s = h * width;
  const [ofX, ofW] = [windowLengths(x, shape), inverseLengths(w, units, 9 * c)];
  const dots = new Float32Array(dy.length);
  convolve(x, w, dots, shape, units);
  // dy·(1/(|x||w|)) goes through the product; what is left is along each window and each weight.
  const d = new Float32Array(dy.length);
  const alongX = new Float32Array(n * s);
  const alongW = new Float64Array(units);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < units; j++) {
      for (let p = 0; p < s; p++) {
        const at = (i * units + j) * s + p;
        d[at] = dy[at] * ofX[i * s + p] * ofW[j];
        alongX[i * s + p] += d[at] * dots[at] * ofX[i * s + p] ** 2;
        alongW[j] += d[at] * dots[at] * ofW[j] ** 2;
      }
    }
  }
  const dx = new Float32Array(x.length);
  const dw = new Float32Array(w.length);
  convolutionGradients(d, x, w, dx, dw, shape, units);
  for (let i = 0; i < w.length; i++) dw[i] -= alongW[Math.floor(i / (9 * c))] * w[i];
  // Each pixel is in nine windows.
  const spread = new Float32Array(n * s);
  convolve(alongX, new Float32Array(9).fill(1), spread, [n, 1, h, width], 1);
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < c; k++) {
      for (let p = 0; p < s; p++) dx[(i * c + k) * s + p] -= spread[i * s + p] * x[(i * c + k) * s + p];
    }
  }
  return { dx, dw };
}

function normPropConv({ x, w, gamma, beta }, y, { shape, options: { units } }) {
  const [n, c, h, width] = shape;
  convolve(x, w, y, shape, units);
  const inverse = inverseLengths(w, units, 9 * c);
  const s = h * width;
  for (let i = 0; i < n * units; i++) {
    const unit = i % units;
    for (let p = i * s; p < (i + 1) * s; p++) {
      const z = y[p] * inverse[unit] * gamma[unit] + beta[unit];
      y[p] = (Math.max(0, z) - normPropRelu.mean) / normPropRelu.deviation;
    }
  }
  return { y };
}

function normPropConvBackward({ x, w, gamma, beta, dy }, _, { shape, options: { units } }) {
  const [n, c, h, width] = shape;
  const s = h * width;
  const d = new Float32Array(dy.length);
  convolve(x, w, d, shape, units);
  const inverse = inverseLengths(w, units, 9 * c);
  for (let i = 0; i < n * units; i++) {
    const unit = i % units;
    for (let p = i * s; p < (i + 1) * s; p++) {
      const isOn = d[p] * inverse[unit] * gamma[unit] + beta[unit] > 0;
      d[p] = isOn ? (dy[p] * gamma[unit]) / normPropRelu.deviation : 0;
    }
  }
  const dx = new Float32Array(x.length);
  const dw = new Float32Array(w.length);
  const unitWeights = w.map((value, i) => value * inverse[Math.floor(i / (9 * c))]);
  convolutionGradients(d, x, unitWeights, dx, dw, shape, units);
  throughLengths(dw, w, inverse, units, 9 * c);
  return { dx, dw };
}

function im2col({ x }, y, { shape: [n, c, h, w] }) {
  let to = 0;
  for (let image = 0; image < n * c; image++) {
    for (let p = 0; p < 3; p++) {
      for (let q = 0; q < 3; q++) {
        for (let i = p - 1; i < h + p - 1; i++) {
          for (let j = q - 1; j < w + q - 1; j++) {
            y[to++] = i >= 0 && i < h && j >= 0 && j < w ? x[(image * h + i) * w + j] : 0;
          }
        }
      }
    }
  }
  return { y };
}

function col2im({ x }, y, { shape: [n, c, h, w] }) {
  y.fill(0);
  let from = 0;
  for (let image = 0; image < n * c; image++) {
    for (let p = 0; p < 3; p++) {
      for (let q = 0; q < 3; q++) {
        for (let i = p - 1; i < h + p - 1; i++) {
          for (let j = q - 1; j < w + q - 1; j++, from++) {
            if (i >= 0 && i < h && j >= 0 && j < w) y[(image * h + i) * w + j] += x[from];
          }
        }
      }
    }
  }
  return { y };
}

export const products = {
  matmul,
  eigh,
  svd,
  im2col,
  col2im,
  cosineLinear,
  cosineLinearBackward,
  normPropLinear,
  normPropLinearBackward,
  cosineConv,
  cosineConvBackward,
  normPropConv,
  normPropConvBackward,
};
