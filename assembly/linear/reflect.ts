/**
 * Householder reflections H = I − τ·v·vᵀ: a symmetric matrix is brought to tridiagonal form, and the reflections are
 * applied to the rows of another. f64.
 *
 * Shapes: matrices are row-major, `stride` elements from row to row, a multiple of 4; loops run over whole vectors, so
 *   the elements of a row between its length and the next multiple of 4 are read and may be written. Matrices have a
 *   multiple of 4 rows. What lies there must be finite, and zero in vectors that are multiplied.
 * Error: the reflections are orthogonal to a few ulps and the reduction is backward stable, for entries up to about 1;
 *   norms below 10⁻¹³⁰ count as zero. NaN and infinities are for the caller to refuse.
 * Source: J. Dongarra, D. Sorensen, S. Hammarling, "Block reduction of matrices to condensed forms", 1989; R.
 *   Schreiber, C. Van Loan, "A storage-efficient WY representation for products of Householder transformations", 1989.
 */
import { v } from "../vec";
import { multiplyAdd } from "./matmul";

/** Rows that are reduced before the rest of the matrix is brought up to date, and reflections applied at a time. */
const REDUCE: i32 = 32;
const APPLY: i32 = 48;
/** Rows of the lower triangle that are brought up to date at a time: what lies above the diagonal is wasted. */
const UPDATE_ROWS: i32 = 64;

/** Vectors whose squares sum up to less count as zero: below, quotients of such sums would lose their digits. */
const NO_SQUARES: f64 = 1e-260;

/** out[r] = m[r]·x for four rows. */
function dots4(out: usize, m: usize, bytes: usize, x: usize, n: i32): void {
  const m1 = m + bytes;
  const m2 = m1 + bytes;
  const m3 = m2 + bytes;
  let s0 = v.zero();
  let s1 = v.zero();
  let s2 = v.zero();
  let s3 = v.zero();
  const end = (<usize>((n + 1) & ~1)) << 3;
  for (let j: usize = 0; j < end; j += 16) {
    const a = v.load(x + j);
    s0 = v.mulAdd<f64>(a, v.load(m + j), s0);
    s1 = v.mulAdd<f64>(a, v.load(m1 + j), s1);
    s2 = v.mulAdd<f64>(a, v.load(m2 + j), s2);
    s3 = v.mulAdd<f64>(a, v.load(m3 + j), s3);
  }
  store<f64>(out, v.sumLanes<f64>(s0));
  store<f64>(out + 8, v.sumLanes<f64>(s1));
  store<f64>(out + 16, v.sumLanes<f64>(s2));
  store<f64>(out + 24, v.sumLanes<f64>(s3));
}

export function dot(a: usize, b: usize, n: i32): f64 {
  let s0 = v.zero();
  let s1 = v.zero();
  let s2 = v.zero();
  let s3 = v.zero();
  const end = a + ((<usize>(n & ~7)) << 3);
  for (; a < end; a += 64, b += 64) {
    s0 = v.mulAdd<f64>(v.load(a), v.load(b), s0);
    s1 = v.mulAdd<f64>(v.load(a + 16), v.load(b + 16), s1);
    s2 = v.mulAdd<f64>(v.load(a + 32), v.load(b + 32), s2);
    s3 = v.mulAdd<f64>(v.load(a + 48), v.load(b + 48), s3);
  }
  let sum = v.sumLanes<f64>(v.add<f64>(v.add<f64>(s0, s1), v.add<f64>(s2, s3)));
  for (let i: usize = 0; i < <usize>(n & 7); i++) sum += load<f64>(a + (i << 3)) * load<f64>(b + (i << 3));
  return sum;
}

/** out[r] = m[r]·x. */
function rowDots(out: usize, m: usize, x: usize, rows: i32, n: i32, bytes: usize): void {
  let r = 0;
  for (; r + 4 <= rows; r += 4) dots4(out + ((<usize>r) << 3), m + <usize>r * bytes, bytes, x, n);
  for (; r < rows; r++) store<f64>(out + ((<usize>r) << 3), dot(m + <usize>r * bytes, x, n));
}

/** y += Σ c[r]·m[r] over four rows. */
function addRows4(y: usize, m: usize, bytes: usize, c: usize, n: i32): void {
  const m1 = m + bytes;
  const m2 = m1 + bytes;
  const m3 = m2 + bytes;
  const c0 = v.loadSplat<f64>(c);
  const c1 = v.loadSplat<f64>(c + 8);
  const c2 = v.loadSplat<f64>(c + 16);
  const c3 = v.loadSplat<f64>(c + 24);
  const end = (<usize>((n + 1) & ~1)) << 3;
  for (let j: usize = 0; j < end; j += 16) {
    const p = v.add<f64>(v.mul<f64>(c0, v.load(m + j)), v.mul<f64>(c1, v.load(m1 + j)));
    const q = v.add<f64>(v.mul<f64>(c2, v.load(m2 + j)), v.mul<f64>(c3, v.load(m3 + j)));
    v.store(y + j, v.add<f64>(v.load(y + j), v.add<f64>(p, q)));
  }
}

/** y = k·y + c·x. */
export function combine(y: usize, x: usize, k: f64, c: f64, n: i32): void {
  const k0 = v.splat<f64>(k);
  const k1 = v.splat<f64>(c);
  const end = y + ((<usize>((n + 1) & ~1)) << 3);
  for (; y < end; y += 16, x += 16) v.store(y, v.mulAdd<f64>(k0, v.load(y), v.mul<f64>(k1, v.load(x))));
}

/** y += Σ c[r]·m[r]. */
export function addRows(y: usize, m: usize, c: usize, rows: i32, n: i32, bytes: usize): void {
  let r = 0;
  for (; r + 4 <= rows; r += 4) addRows4(y, m + <usize>r * bytes, bytes, c + ((<usize>r) << 3), n);
  for (; r < rows; r++) combine(y, m + <usize>r * bytes, 1, load<f64>(c + ((<usize>r) << 3)), n);
}

/**
 * Rows r to r + 3 of y = A·x with the lower triangle of A: their dot products with x left of the diagonal block go to y
 * there, their columns times x[r..] to y above. Every element is read once.
 */
function symmetricRows4(y: usize, a: usize, bytes: usize, x: usize, r: i32): void {
  const a1 = a + bytes;
  const a2 = a1 + bytes;
  const a3 = a2 + bytes;
  const end = (<usize>r) << 3;
  const x0 = v.loadSplat<f64>(x + end);
  const x1 = v.loadSplat<f64>(x + end + 8);
  const x2 = v.loadSplat<f64>(x + end + 16);
  const x3 = v.loadSplat<f64>(x + end + 24);
  let s0 = v.zero();
  let s1 = v.zero();
  let s2 = v.zero();
  let s3 = v.zero();
  for (let j: usize = 0; j < end; j += 16) {
    const b = v.load(x + j);
    const b0 = v.load(a + j);
    const b1 = v.load(a1 + j);
    const b2 = v.load(a2 + j);
    const b3 = v.load(a3 + j);
    s0 = v.mulAdd<f64>(b, b0, s0);
    s1 = v.mulAdd<f64>(b, b1, s1);
    s2 = v.mulAdd<f64>(b, b2, s2);
    s3 = v.mulAdd<f64>(b, b3, s3);
    const p = v.add<f64>(v.mul<f64>(x0, b0), v.mul<f64>(x1, b1));
    const q = v.add<f64>(v.mul<f64>(x2, b2), v.mul<f64>(x3, b3));
    v.store(y + j, v.add<f64>(v.load(y + j), v.add<f64>(p, q)));
  }
  store<f64>(y + end, v.sumLanes<f64>(s0));
  store<f64>(y + end + 8, v.sumLanes<f64>(s1));
  store<f64>(y + end + 16, v.sumLanes<f64>(s2));
  store<f64>(y + end + 24, v.sumLanes<f64>(s3));
}

/** y[r] += Σ_c a[r, c]·x[c] over the diagonal block of rows and columns r to r + 3, from its lower triangle. */
function symmetricCorner4(y: usize, a: usize, bytes: usize, x: usize): void {
  for (let r: usize = 0; r < 4; r++) {
    let sum: f64 = 0;
    for (let c: usize = 0; c < 4; c++) {
      const at = r < c ? c * bytes + (r << 3) : r * bytes + (c << 3);
      sum += load<f64>(a + at) * load<f64>(x + (c << 3));
    }
    store<f64>(y + (r << 3), load<f64>(y + (r << 3)) + sum);
  }
}

/** y = A·x, A symmetric [n, n], of which the lower triangle is read; x is 0 from n to the next multiple of 4. */
function symmetricTimes(y: usize, a: usize, x: usize, n: i32, bytes: usize): void {
  for (let r = 0; r < n; r += 4) {
    const at = (<usize>r) << 3;
    const row = a + <usize>r * bytes;
    symmetricRows4(y, row, bytes, x, r);
    symmetricCorner4(y + at, row + at, bytes, x + at);
  }
}

/** What the last `reflect` made of the vector: its one element that is not zero. */
let reflected: f64 = 0;

/**
 * The reflection that makes x [n] zero but for its last element: x becomes v with v[n − 1] = 1, τ is returned. A vector
 * that is zero but for that element stays, with τ = 0.
 */
function reflect(x: usize, n: i32): f64 {
  const last = x + ((<usize>(n - 1)) << 3);
  const alpha = load<f64>(last);
  const squares = dot(x, x, n - 1);
  store<f64>(last, 1);
  reflected = alpha;
  if (squares < NO_SQUARES) {
    memory.fill(x, 0, (<usize>(n - 1)) << 3);
    return 0;
  }
  const norm = sqrt(alpha * alpha + squares);
  reflected = alpha > 0 ? -norm : norm;
  const k = 1 / (alpha - reflected);
  combine(x, x, k, 0, n - 1);
  store<f64>(last, 1);
  return (reflected - alpha) / reflected;
}

/** c[2t] and c[2t + 1] change places and signs. */
function swapNegated(c: usize, pairs: i32): void {
  for (const end = c + ((<usize>pairs) << 4); c < end; c += 16) {
    const first = load<f64>(c);
    store<f64>(c, -load<f64>(c + 8));
    store<f64>(c + 8, -first);
  }
}

/**
 * Reduces rows m − 1 down to m − width (or 0). Each takes up what the reflections before it in the panel did,
 * A − Σ v·wᵀ + w·vᵀ, and leaves its own (v, w) in two rows of `panel`; the rest of A stays as it was.
 */
function reducePanel(
  d: usize,
  e: usize,
  tau: usize,
  a: usize,
  panel: usize,
  c: usize,
  m: i32,
  width: i32,
  bytes: usize,
): void {
  for (let k = 0; k < width; k++) {
    const i = m - 1 - k;
    const at = (<usize>i) << 3;
    const row = a + <usize>i * bytes;
    const rows = 2 * k;
    for (let t = 0; t < rows; t++) store<f64>(c + ((<usize>t) << 3), load<f64>(panel + <usize>t * bytes + at));
    swapNegated(c, k);
    addRows(row, panel, c, rows, i + 1, bytes);
    store<f64>(d + at, load<f64>(row + at));
    if (i == 0) return;
    const factor = reflect(row, i);
    store<f64>(e + at - 8, reflected);
    store<f64>(tau + at, factor);
    const own = panel + <usize>rows * bytes;
    const w = own + bytes;
    memory.copy(own, row, at);
    memory.fill(own + at, 0, bytes - at);
    symmetricTimes(w, a, own, i, bytes);
    rowDots(c, panel, own, rows, i, bytes);
    swapNegated(c, k);
    addRows(w, panel, c, rows, i, bytes);
    combine(w, own, factor, -0.5 * factor * factor * dot(w, own, i), i);
  }
}

/** Bytes of scratch that `tridiagonalize` takes, besides that of the matrix product. */
export function tridiagonalizeScratchBytes(stride: i32): i32 {
  return 4 * REDUCE * (stride + 1) * 8;
}

/**
 * T = Hᵀ·A·H: d [n] is the diagonal of T, e [n − 1] what stands beside it. A [n, n] is symmetric; its lower triangle is
 * read and then holds, left of the diagonal of row i, the vector of H_i, τ in tau[i]; H = H_{n−1}···H_1.
 */
export function tridiagonalize_f64(
  d: usize,
  e: usize,
  tau: usize,
  a: usize,
  n: i32,
  stride: i32,
  scratch: usize,
  product: usize,
): void {
  const bytes = (<usize>stride) << 3;
  const panel = scratch;
  const swapped = panel + <usize>(2 * REDUCE) * bytes;
  const c = swapped + <usize>(2 * REDUCE) * bytes;
  for (let m = n; m > 0; m -= REDUCE) {
    reducePanel(d, e, tau, a, panel, c, m, REDUCE, bytes);
    const left = m - REDUCE;
    if (left <= 0) return;
    for (let t = 0; t < 2 * REDUCE; t++) {
      const to = swapped + <usize>t * bytes;
      memory.copy(to, panel + <usize>(t ^ 1) * bytes, (<usize>left) << 3);
      combine(to, to, -1, 0, left);
    }
    for (let r = 0; r < left; r += UPDATE_ROWS) {
      const rows = left - r < UPDATE_ROWS ? left - r : UPDATE_ROWS;
      const row = a + <usize>r * bytes;
      const across = panel + ((<usize>r) << 3);
      multiplyAdd<f64>(row, across, swapped, rows, r + rows, 2 * REDUCE, stride, stride, 1, stride, 1, product);
    }
  }
}

/** The upper triangle T [k, k], negated, of H_0···H_{k−1} = I − Yᵀ·T·Y, from the products of the rows of Y. */
function blockFactor(t: usize, products: usize, tau: usize, k: i32): void {
  const bytes = (<usize>k) << 3;
  for (let j = 0; j < k; j++) {
    const at = (<usize>j) << 3;
    const factor = load<f64>(tau + at);
    for (let r = 0; r < k; r++) {
      const row = t + <usize>r * bytes;
      let sum: f64 = r == j ? -factor : 0;
      for (let c = r; c < j; c++) {
        sum -= factor * load<f64>(row + ((<usize>c) << 3)) * load<f64>(products + <usize>c * bytes + at);
      }
      store<f64>(row + at, sum);
    }
  }
}

/**
 * Reduces rows m − 1 down to m − REDUCE (or 0) of X [rows, n]. Each takes up what the reflections before it in the
 * panel did, X + Σ b[s]·a[s]ᵀ with the rows of the panels `along` and `down`, and adds its own; the rest of X stays as
 * it was.
 */
function reduceSides(
  d: usize,
  e: usize,
  tau: usize,
  tauLeft: usize,
  x: usize,
  left: usize,
  along: usize,
  down: usize,
  c: usize,
  m: i32,
  shift: i32,
  bytes: usize,
  side: usize,
): void {
  let used = 0;
  for (let i = m - 1; i >= 0 && i >= m - REDUCE; i--) {
    const at = (<usize>i) << 3;
    const n = shift + i;
    const row = x + <usize>i * bytes;
    for (let s = 0; s < used; s++) store<f64>(c + ((<usize>s) << 3), load<f64>(down + <usize>s * side + at));
    addRows(row, along, c, used, n + 1, bytes);
    const factor = reflect(row, n + 1);
    store<f64>(d + at, reflected);
    store<f64>(tau + at, factor);
    if (i == 0) return;
    const own = along + <usize>used * bytes;
    memory.fill(own, 0, bytes);
    memory.copy(own, row, (<usize>(n + 1)) << 3);

    // What the reflection of the row does to the rows above.
    const z = down + <usize>used * side;
    rowDots(z, x, own, i, n + 1, bytes);
    rowDots(c, along, own, used, n + 1, bytes);
    addRows(z, down, c, used, i, side);
    combine(z, z, -factor, 0, i);
    used++;

    // The column above the row's last element, reflected in its turn, and what that does to the columns before it.
    const w = left + <usize>i * side;
    memory.fill(w, 0, side);
    for (let r = 0; r < i; r++) {
      store<f64>(w + ((<usize>r) << 3), load<f64>(x + <usize>r * bytes + ((<usize>n) << 3)));
    }
    for (let s = 0; s < used; s++) {
      store<f64>(c + ((<usize>s) << 3), load<f64>(along + <usize>s * bytes + ((<usize>n) << 3)));
    }
    addRows(w, down, c, used, i, side);
    store<f64>(w + at, 0);
    const factorLeft = reflect(w, i);
    store<f64>(e + at - 8, reflected);
    store<f64>(tauLeft + at, factorLeft);
    const y = own + bytes;
    memory.fill(y, 0, bytes);
    addRows(y, x, w, i, n, bytes);
    rowDots(c, down, w, used, i, side);
    addRows(y, along, c, used, n, bytes);
    const scaled = z + side;
    memory.copy(scaled, w, side);
    combine(scaled, scaled, -factorLeft, 0, i);
    used++;
  }
}

/** Bytes of scratch that `bidiagonalize` takes, besides that of the matrix product. */
export function bidiagonalizeScratchBytes(stride: i32, side: i32): i32 {
  return 2 * REDUCE * (stride + side + 1) * 8;
}

/**
 * Bidiagonal form of X [rows, n], rows ≤ n: reflections H_{rows−1}···H_0 from the right and G_1···G_{rows−1} from the
 * left leave row i zero but for d[i] in column n − rows + i and e[i] to the right of it. The vector of H_i then lies in
 * row i of X, up to that column, that of G_i in row i of `left` [rows, rows], [0, i). Rows of left are `side` elements
 * apart.
 */
export function bidiagonalize_f64(
  d: usize,
  e: usize,
  tau: usize,
  tauLeft: usize,
  x: usize,
  left: usize,
  rows: i32,
  n: i32,
  stride: i32,
  side: i32,
  scratch: usize,
  product: usize,
): void {
  const bytes = (<usize>stride) << 3;
  const sideBytes = (<usize>side) << 3;
  const along = scratch;
  const down = along + <usize>(2 * REDUCE) * bytes;
  const c = down + <usize>(2 * REDUCE) * sideBytes;
  const shift = n - rows;
  for (let m = rows; m > 0; m -= REDUCE) {
    reduceSides(d, e, tau, tauLeft, x, left, along, down, c, m, shift, bytes, sideBytes);
    const above = m - REDUCE;
    if (above <= 0) return;
    multiplyAdd<f64>(x, down, along, above, shift + above, 2 * REDUCE, stride, side, 1, stride, 1, product);
  }
}

/** Bytes of scratch that `applyReflections` takes, besides that of the matrix product. */
export function applyReflectionsScratchBytes(rows: i32, stride: i32): i32 {
  return (2 * APPLY * stride + APPLY * rows + 2 * APPLY * APPLY) * 8;
}

/**
 * Z·H_0···H_{k−1}, or Z·H_{k−1}···H_0 if `backwards`, in place of Z [rows, *], k ≤ APPLY: the reflections at once, as
 * I − Yᵀ·T·Y or its transpose. Vectors lie as for `applyReflections`.
 */
function applyBlock(
  z: usize,
  a: usize,
  tau: usize,
  rows: i32,
  first: i32,
  k: i32,
  stride: i32,
  backwards: bool,
  scratch: usize,
  product: usize,
): void {
  const bytes = (<usize>stride) << 3;
  const y = scratch;
  const ty = y + <usize>APPLY * bytes;
  const zy = ty + <usize>APPLY * bytes;
  const t = zy + ((<usize>(APPLY * rows)) << 3);
  const products = t + ((APPLY * APPLY) << 3);
  const width = first + k - 1;
  memory.fill(y, 0, zy - y + ((<usize>(k * rows)) << 3));
  memory.fill(products, 0, (<usize>(k * k)) << 3);
  for (let r = 0; r < k; r++) {
    memory.copy(y + <usize>r * bytes, a + <usize>r * bytes, (<usize>(first + r)) << 3);
  }
  multiplyAdd<f64>(products, y, y, k, k, width, k, 1, stride, 1, stride, product);
  blockFactor(t, products, tau, k);
  multiplyAdd<f64>(ty, t, y, k, width, k, stride, backwards ? k : 1, backwards ? 1 : k, stride, 1, product);
  multiplyAdd<f64>(zy, z, y, rows, k, width, k, 1, stride, 1, stride, product);
  multiplyAdd<f64>(z, zy, ty, rows, width, k, stride, 1, k, stride, 1, product);
}

/**
 * Z·H_0···H_{count−1} in place of Z [rows, *]; the vector of H_i is [0, first + i) of row i of a, τ is tau[i].
 */
export function applyReflections_f64(
  z: usize,
  a: usize,
  tau: usize,
  rows: i32,
  first: i32,
  count: i32,
  stride: i32,
  scratch: usize,
  product: usize,
): void {
  for (let i = 0; i < count; i += APPLY) {
    const k = count - i < APPLY ? count - i : APPLY;
    const from = a + ((<usize>(i * stride)) << 3);
    applyBlock(z, from, tau + ((<usize>i) << 3), rows, first + i, k, stride, false, scratch, product);
  }
}

/**
 * X [rows, n], rows ≤ n, times reflections H_{rows−1}···H_0 from the right: a triangle is left, row i from column
 * n − rows + i on, its diagonal in d. The vector of H_i lies in row i of X, up to that column. scratch as for
 * `applyReflections`, and n + rows elements more.
 */
export function triangularize_f64(
  d: usize,
  tau: usize,
  x: usize,
  rows: i32,
  n: i32,
  stride: i32,
  scratch: usize,
  product: usize,
): void {
  const bytes = (<usize>stride) << 3;
  const own = scratch;
  const c = own + bytes;
  for (let m = rows; m > 0; m -= APPLY) {
    const above = m > APPLY ? m - APPLY : 0;
    const panel = x + <usize>above * bytes;
    for (let i = m - 1; i >= above; i--) {
      const length = n - rows + i + 1;
      const row = x + <usize>i * bytes;
      const factor = reflect(row, length);
      store<f64>(d + ((<usize>i) << 3), reflected);
      store<f64>(tau + ((<usize>i) << 3), factor);
      memory.fill(own, 0, bytes);
      memory.copy(own, row, (<usize>length) << 3);
      rowDots(c, panel, own, i - above, length, bytes);
      for (let r = above; r < i; r++) {
        const k = -factor * load<f64>(c + ((<usize>(r - above)) << 3));
        combine(x + <usize>r * bytes, own, 1, k, length);
      }
    }
    if (above == 0) return;
    const first = n - rows + above + 1;
    applyBlock(
      x,
      panel,
      tau + ((<usize>above) << 3),
      above,
      first,
      m - above,
      stride,
      true,
      c + <usize>rows * 8,
      product,
    );
  }
}
