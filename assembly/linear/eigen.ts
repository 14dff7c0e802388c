/**
 * Eigenvectors of tridiagonal matrices: plane rotations of the rows of a matrix, and the eigenvalues and eigenvectors
 * of a diagonal matrix with one rank added, D + ρ·z·zᵀ. f64.
 *
 * Shapes: d ascending and strictly apart, z without zeros and of length 1, both [n], n ≥ 2, ρ > 0; delta [n, n] holds
 *   d[i] − λ[j] in row j. Rotations run over whole vectors: an odd number of columns takes one more along.
 * Error: λ to a few ulps of its distance to the nearer d; each d[i] − λ[j] to a few ulps, so that eigenvectors worked
 *   out from them are orthogonal to a few ulps, however close the eigenvalues.
 * Source: R.-C. Li, "Solving secular equations stably and efficiently", LAPACK working note 89, 1993; M. Gu,
 *   S. Eisenstat, "A divide-and-conquer algorithm for the symmetric tridiagonal eigenproblem", 1995.
 */
import { runMaxAbs } from "../rows/norms";
import { v } from "../vec";
import { combine } from "./reflect";

/** Steps until an eigenvalue is sought by halving alone, and in all. */
const QUICK_STEPS: i32 = 40;
const MOST_STEPS: i32 = 120;
const ULP: f64 = 2.220446049250313e-16;

/** (a, b) = (c·a + s·b, c·b − s·a) for rows a, b of n elements. */
function rotate(a: usize, b: usize, c: f64, s: f64, n: i32): void {
  const c0 = v.splat<f64>(c);
  const s0 = v.splat<f64>(s);
  const end = a + ((<usize>((n + 1) & ~1)) << 3);
  for (; a < end; a += 16, b += 16) {
    const x = v.load(a);
    const y = v.load(b);
    v.store(a, v.add<f64>(v.mul<f64>(c0, x), v.mul<f64>(s0, y)));
    v.store(b, v.sub<f64>(v.mul<f64>(c0, y), v.mul<f64>(s0, x)));
  }
}

/** `rotate` of (a, b), then of (b, third): the row between is read and written once. */
function rotateTwo(a: usize, b: usize, third: usize, cs: usize, n: i32): void {
  const c0 = v.loadSplat<f64>(cs);
  const s0 = v.loadSplat<f64>(cs + 8);
  const c1 = v.loadSplat<f64>(cs + 16);
  const s1 = v.loadSplat<f64>(cs + 24);
  const end = a + ((<usize>((n + 1) & ~1)) << 3);
  for (; a < end; a += 16, b += 16, third += 16) {
    const x = v.load(a);
    const y = v.load(b);
    const z = v.load(third);
    v.store(a, v.add<f64>(v.mul<f64>(c0, x), v.mul<f64>(s0, y)));
    const w = v.sub<f64>(v.mul<f64>(c0, y), v.mul<f64>(s0, x));
    v.store(b, v.add<f64>(v.mul<f64>(c1, w), v.mul<f64>(s1, z)));
    v.store(third, v.sub<f64>(v.mul<f64>(c1, z), v.mul<f64>(s1, w)));
  }
}

/** Rotates row k with row k + 1 by (c, s) = cs[k], for k = 0 to count − 1. Rows are `step` elements apart, or −step. */
export function rotateRows_f64(z: usize, cs: usize, count: i32, n: i32, step: i32): void {
  const bytes = (<usize>step) << 3;
  let k = 0;
  for (; k + 2 <= count; k += 2) {
    const next = z + bytes;
    const third = next + bytes;
    rotateTwo(z, next, third, cs + ((<usize>k) << 4), n);
    z = third;
  }
  if (k < count) rotate(z, z + bytes, load<f64>(cs + ((<usize>k) << 4)), load<f64>(cs + ((<usize>k) << 4) + 8), n);
}

/** Σ (z[i]/δ[i])² of the last `poles`; a wasm function returns one value. */
let slope: f64 = 0;

/** Σ z[i]²/δ[i], δ[i] = (d[i] − origin) − shift, for from ≤ i < to. */
function poles(d: usize, z: usize, from: i32, to: i32, origin: f64, shift: f64): f64 {
  const o = v.splat<f64>(origin);
  const t = v.splat<f64>(shift);
  let sum = v.zero();
  let squares = v.zero();
  let at = (<usize>from) << 3;
  for (const end = at + ((<usize>((to - from) & ~1)) << 3); at < end; at += 16) {
    const weight = v.load(z + at);
    const ratio = v.div<f64>(weight, v.sub<f64>(v.sub<f64>(v.load(d + at), o), t));
    sum = v.mulAdd<f64>(weight, ratio, sum);
    squares = v.mulAdd<f64>(ratio, ratio, squares);
  }
  let total = v.sumLanes<f64>(sum);
  slope = v.sumLanes<f64>(squares);
  if ((to - from) & 1) {
    const weight = load<f64>(z + at);
    const ratio = weight / (load<f64>(d + at) - origin - shift);
    total += weight * ratio;
    slope += ratio * ratio;
  }
  return total;
}

/**
 * The root of c·t² − a·t + b = 0 that keeps its digits; `lower` chooses the one with the minus before the square root.
 */
function quadratic(a: f64, b: f64, c: f64, lower: bool): f64 {
  const root = sqrt(abs(a * a - 4 * b * c));
  if (lower) return a <= 0 ? (a - root) / (2 * c) : (2 * b) / (a + root);
  return a >= 0 ? (a + root) / (2 * c) : (2 * b) / (a - root);
}

/** The d that the last `root` was measured from. */
let nearest: f64 = 0;

/**
 * λ[j] − d[nearest]: the root of 1/ρ + Σ z[i]²/(d[i] − λ) = 0 between d[j] and d[j + 1], or above the last d. Poles to
 * the left and to the right of it are each stood for by one, at d[l] and d[l + 1]; a step that leaves the known bounds
 * is replaced by halving them.
 */
function root(d: usize, z: usize, n: i32, j: i32, rho: f64): f64 {
  const isLast = j == n - 1;
  const l = isLast ? n - 2 : j;
  const at = (<usize>l) << 3;
  const dl = load<f64>(d + at);
  const dr = load<f64>(d + at + 8);
  const zl = load<f64>(z + at) * load<f64>(z + at);
  const zr = load<f64>(z + at + 8) * load<f64>(z + at + 8);
  const gap = dr - dl;
  const inverse = 1 / rho;
  let origin = isLast ? dr : dl;
  const middle = isLast ? 0.5 * rho : 0.5 * gap;

  // The sign in the middle tells the half; the other poles at their value there, the two next to it are solved for.
  const rest = inverse + poles(d, z, 0, l, origin, middle) + poles(d, z, l + 2, n, origin, middle);
  const half = rest + zl / (dl - origin - middle) + zr / (dr - origin - middle);
  let low: f64 = 0;
  let high = middle;
  let t: f64;
  if (isLast) {
    if (half <= 0) {
      low = middle;
      high = rho;
    }
    const sum = zl + zr;
    t = half <= 0 && rest <= zl / (gap + rho) + zr / rho ? rho : quadratic(sum - rest * gap, -zr * gap, rest, false);
  } else if (half > 0) {
    t = quadratic(rest * gap + zl + zr, zl * gap, rest, true);
  } else {
    origin = dr;
    low = -middle;
    high = 0;
    t = quadratic(zl + zr - rest * gap, -zr * gap, rest, true);
  }
  if (!(t > low && t <= high) || t == 0) t = 0.5 * (low + high);

  nearest = origin;
  let fixed = false;
  let before = Infinity;
  for (let step = 0; step < MOST_STEPS; step++) {
    const left = poles(d, z, 0, l + 1, origin, t);
    const leftSlope = slope;
    const right = poles(d, z, l + 1, n, origin, t);
    const rightSlope = slope;
    const w = inverse + left + right;
    const dw = leftSlope + rightSlope;
    if (abs(w) <= ULP * (4 * (abs(left) + abs(right)) + inverse + abs(t) * dw)) return t;
    if (w <= 0) low = max(low, t);
    else high = min(high, t);
    if (abs(w) > 0.1 * abs(before)) fixed = !fixed;
    before = w;

    const el = dl - origin - t;
    const er = dr - origin - t;
    const a = (el + er) * w - el * er * dw;
    const b = el * er * w;
    let c: f64;
    if (!fixed) c = w - el * leftSlope - er * rightSlope;
    else if (origin == dl) c = w - er * dw + (gap * zl) / (el * el);
    else c = w - el * dw - (gap * zr) / (er * er);
    let move = c == 0 ? b / a : quadratic(a, b, c, !isLast);
    if (!(w * move < 0)) move = -w / dw;
    let next = t + move;
    if (!(next > low && next < high) || step >= QUICK_STEPS) next = 0.5 * (low + high);
    if (next == t) return t;
    t = next;
  }
  return t;
}

/** delta[i] = (d[i] − origin) − shift. */
function differences(delta: usize, d: usize, n: i32, origin: f64, shift: f64): void {
  const o = v.splat<f64>(origin);
  const t = v.splat<f64>(shift);
  const whole = n & ~1;
  for (let at: usize = 0; at < (<usize>whole) << 3; at += 16) {
    v.store(delta + at, v.sub<f64>(v.sub<f64>(v.load(d + at), o), t));
  }
  const at = (<usize>whole) << 3;
  if (n & 1) store<f64>(delta + at, load<f64>(d + at) - origin - shift);
}

/** Eigenvalues of D + ρ·z·zᵀ, and delta. */
export function rankOneValues_f64(lambda: usize, delta: usize, d: usize, z: usize, n: i32, rho: f64): void {
  for (let j = 0; j < n; j++) {
    const t = root(d, z, n, j, rho);
    store<f64>(lambda + ((<usize>j) << 3), nearest + t);
    differences(delta, d, n, nearest, t);
    delta += (<usize>n) << 3;
  }
}

/** w[i] *= delta[i]/(d[i] − pole) for i < n. */
function scaleByRatios(w: usize, delta: usize, d: usize, pole: f64, n: i32): void {
  const p = v.splat<f64>(pole);
  const whole = (<usize>(n & ~1)) << 3;
  for (let at: usize = 0; at < whole; at += 16) {
    const ratio = v.div<f64>(v.load(delta + at), v.sub<f64>(v.load(d + at), p));
    v.store(w + at, v.mul<f64>(v.load(w + at), ratio));
  }
  if (n & 1) store<f64>(w + whole, (load<f64>(w + whole) * load<f64>(delta + whole)) / (load<f64>(d + whole) - pole));
}

/** y[i] = w[i]/y[i]; the sum of their squares is returned. */
function divideInto(y: usize, w: usize, n: i32): f64 {
  let squares = v.zero();
  const whole = (<usize>(n & ~1)) << 3;
  for (let at: usize = 0; at < whole; at += 16) {
    const q = v.div<f64>(v.load(w + at), v.load(y + at));
    v.store(y + at, q);
    squares = v.mulAdd<f64>(q, q, squares);
  }
  let sum = v.sumLanes<f64>(squares);
  if (n & 1) {
    const q = load<f64>(w + whole) / load<f64>(y + whole);
    store<f64>(y + whole, q);
    sum += q * q;
  }
  return sum;
}

/**
 * Eigenvectors of D + ρ·z·zᵀ from delta, one a row, of length 1; element i goes to column place[i] (i32). The z of
 * which λ are the exact eigenvalues takes the place of the given one: that makes the vectors orthogonal. scratch: n
 * elements.
 */
export function rankOneVectors_f64(
  vectors: usize,
  delta: usize,
  d: usize,
  z: usize,
  place: usize,
  n: i32,
  scratch: usize,
): void {
  const bytes = (<usize>n) << 3;
  const w = scratch;
  for (let i: usize = 0; i < bytes; i += 8) store<f64>(w + i, 1);
  for (let j = 0; j < n; j++) {
    const at = (<usize>j) << 3;
    const row = delta + <usize>j * bytes;
    const pole = load<f64>(d + at);
    scaleByRatios(w, row, d, pole, j);
    store<f64>(w + at, load<f64>(w + at) * load<f64>(row + at));
    scaleByRatios(w + at + 8, row + at + 8, d + at + 8, pole, n - 1 - j);
  }
  for (let i: usize = 0; i < bytes; i += 8) {
    store<f64>(w + i, copysign<f64>(sqrt(-load<f64>(w + i)), load<f64>(z + i)));
  }
  for (let j = 0; j < n; j++) {
    const k = 1 / sqrt(divideInto(delta, w, n));
    for (let i: usize = 0; i < <usize>n; i++) {
      store<f64>(vectors + ((<usize>load<i32>(place + (i << 2))) << 3), k * load<f64>(delta + (i << 3)));
    }
    vectors += bytes;
    delta += bytes;
  }
}

/** Largest |a[i, j] − a[j, i]|; a [n, n] is finite. */
export function asymmetry_f64(a: usize, n: i32, stride: i32): f64 {
  let largest: f64 = 0;
  for (let i = 0; i < n; i++) {
    let row = a + ((<usize>(i * stride)) << 3);
    let column = a + ((<usize>i) << 3);
    for (let j = 0; j < i; j++) {
      largest = max(largest, abs(load<f64>(row) - load<f64>(column)));
      row += 8;
      column += (<usize>stride) << 3;
    }
  }
  return largest;
}

/** Changes the signs of rows so that the first element that is as large as any, to 1e-8, is positive. */
export function orientRows_f64(z: usize, rows: i32, n: i32, stride: i32): void {
  for (let r = 0; r < rows; r++) {
    const enough = (1 - 1e-8) * runMaxAbs<f64>(z, n);
    let at = z;
    while (abs(load<f64>(at)) < enough) at += 8;
    if (load<f64>(at) < 0) combine(z, z, -1, 0, n);
    z += (<usize>stride) << 3;
  }
}

/** y [cols, rows] = xᵀ, x [rows, cols]; rows of x and y are `strideX` and `strideY` elements apart. */
export function transpose_f64(y: usize, x: usize, rows: i32, cols: i32, strideY: i32, strideX: i32): void {
  // Sixteen rows at a time: what is read along the columns stays in L1 until the next column needs it.
  for (let r = 0; r < rows; r += 16) {
    const lastRow = min(r + 16, rows);
    for (let c = 0; c < cols; c++) {
      let from = x + ((<usize>(r * strideX + c)) << 3);
      let to = y + ((<usize>(c * strideY + r)) << 3);
      for (let i = r; i < lastRow; i++) {
        store<f64>(to, load<f64>(from));
        from += (<usize>strideX) << 3;
        to += 8;
      }
    }
  }
}
