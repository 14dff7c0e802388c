/**
 * The loop of elementwise work on [rows, cols] with coefficients for each column: what `map` of loops.ts is to runs. What
 * happens to an element is a policy, as there.
 *
 * Coefficients of two vectors stay in registers down a few rows, so that an element costs one load and one store, not
 * one for each coefficient. Few columns, of which less than two vectors are full, are taken so many rows at a time that
 * their coefficients come round in whole vectors. The policy says how many rows are few: where rows lie a multiple of 4096
 * bytes apart, L1 holds no more than twelve lines of them, over all arrays.
 */
import { oneNaN } from "../loops";
import { v } from "../vec";

/** Bytes of narrow rows that are worked on at a time: they stay in L1, and make a strip long enough. */
const NARROW_BYTES: i32 = 8192;

/** y[i, j] = P.at(x[i, j], u[i, j]; k0[j]..k4[j]) for `width` columns, a multiple of two vectors; `seen` as in loops.ts. */
function mapTwos<T, P>(
  y: usize,
  x: usize,
  u: usize,
  k0: usize,
  k1: usize,
  k2: usize,
  k3: usize,
  k4: usize,
  stride: usize,
  rows: i32,
  width: i32,
): void {
  const p = changetype<P>(0);
  const start = y;
  const right = y + <usize>width * sizeof<T>();
  const height = <usize>rows * stride;
  let seen = v.zero();
  for (; y < right; y += 32, x += 32, u += 32, k0 += 32, k1 += 32, k2 += 32, k3 += 32, k4 += 32) {
    const a0 = v.load(k0);
    const a1 = v.load(k1);
    const a2 = v.load(k2);
    const a3 = v.load(k3);
    const a4 = v.load(k4);
    const b0 = v.load(k0 + 16);
    const b1 = v.load(k1 + 16);
    const b2 = v.load(k2 + 16);
    const b3 = v.load(k3 + 16);
    const b4 = v.load(k4 + 16);
    for (let i: usize = 0; i < height; i += stride) {
      // @ts-ignore: P has `at`
      const a = p.at<T>(x + i, u + i, a0, a1, a2, a3, a4);
      // @ts-ignore: P has `at`
      const b = p.at<T>(x + i + 16, u + i + 16, b0, b1, b2, b3, b4);
      v.store(y + i, a);
      v.store(y + i + 16, b);
      seen = v.add<T>(seen, v.add<T>(a, b));
    }
  }
  if (v.anyTrue(v.isNaN<T>(seen))) {
    for (let i: usize = 0; i < height; i += stride) oneNaN<T>(start + i, width);
  }
}

/** mapTwos for one vector of columns, or the first n > 0 of one, whose coefficients are at hand. */
function mapOne<T, P>(
  y: usize,
  x: usize,
  u: usize,
  k0: v128,
  k1: v128,
  k2: v128,
  k3: v128,
  k4: v128,
  stride: usize,
  rows: i32,
  n: i32,
): void {
  const p = changetype<P>(0);
  const height = <usize>rows * stride;
  let seen = v.zero();
  for (let i: usize = 0; i < height; i += stride) {
    // @ts-ignore: P has `at`
    const a = p.at<T>(x + i, u + i, k0, k1, k2, k3, k4);
    v.storeAs<T, T>(y + i, a, n);
    seen = v.or(seen, v.isNaN<T>(a));
  }
  if (v.anyTrue(seen)) {
    for (let i: usize = 0; i < height; i += stride) oneNaN<T>(y + i, n || v.lanes<T>());
  }
}

/** Columns too few for two vectors, `lanes` rows at a time: vector i of those has the columns from i·lanes mod cols on. */
function mapNarrow<T, P>(
  y: usize,
  x: usize,
  u: usize,
  k0: usize,
  k1: usize,
  k2: usize,
  k3: usize,
  k4: usize,
  groups: i32,
  cols: i32,
): void {
  const stride = (<usize>cols) << 4;
  const strip = NARROW_BYTES / <i32>stride;
  while (groups > 0) {
    const height = groups < strip ? groups : strip;
    let first = 0;
    for (let i: usize = 0; i < stride; i += 16) {
      const a0 = v.loadCycle<T>(k0, first, cols);
      const a1 = v.loadCycle<T>(k1, first, cols);
      const a2 = v.loadCycle<T>(k2, first, cols);
      const a3 = v.loadCycle<T>(k3, first, cols);
      const a4 = v.loadCycle<T>(k4, first, cols);
      mapOne<T, P>(y + i, x + i, u + i, a0, a1, a2, a3, a4, stride, height, 0);
      first = (first + v.lanes<T>()) % cols;
    }
    y += <usize>height * stride;
    x += <usize>height * stride;
    u += <usize>height * stride;
    groups -= height;
  }
}

/** y[i, j] = P.at(x[i, j], u[i, j]; k0[j]..k4[j]); y may be x or u. What P does not read may be any address. */
export function mapColumns<T, P>(
  y: usize,
  x: usize,
  u: usize,
  k0: usize,
  k1: usize,
  k2: usize,
  k3: usize,
  k4: usize,
  rows: i32,
  cols: i32,
): void {
  const lanes = v.lanes<T>();
  const stride = <usize>cols * sizeof<T>();
  if (cols < 2 * lanes) {
    const groups = rows / lanes;
    mapNarrow<T, P>(y, x, u, k0, k1, k2, k3, k4, groups, cols);
    const done = <usize>(groups * lanes) * stride;
    y += done;
    x += done;
    u += done;
    rows -= groups * lanes;
  }
  // @ts-ignore: P has `rows`
  const strip = changetype<P>(0).rows();
  const twos = cols & ~(2 * lanes - 1);
  while (rows > 0) {
    const height = rows < strip ? rows : strip;
    mapTwos<T, P>(y, x, u, k0, k1, k2, k3, k4, stride, height, twos);
    for (let j = twos; j < cols; j += lanes) {
      const at = <usize>j * sizeof<T>();
      const a0 = v.load(k0 + at);
      const a1 = v.load(k1 + at);
      const a2 = v.load(k2 + at);
      const a3 = v.load(k3 + at);
      const a4 = v.load(k4 + at);
      const n = cols - j < lanes ? cols - j : 0;
      mapOne<T, P>(y + at, x + at, u + at, a0, a1, a2, a3, a4, stride, height, n);
    }
    y += <usize>height * stride;
    x += <usize>height * stride;
    u += <usize>height * stride;
    rows -= height;
  }
}
