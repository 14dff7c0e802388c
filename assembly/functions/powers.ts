/**
 * Absolute powers of deviations, d = x − mean: their sums, and a gradient through them.
 *
 * Formula: Σ|d|^p and Σ|d|^(p−1)·sign(d), and dx = w·dy + slope·|d|^(p−1)·sign(d) + c. At d = 0 both powers are 0.
 * Shapes: x, dy, dx [rows, n]; coefficients as in rows/affine.ts. The mean comes as center + rest, since in f32 the rest may
 *   be half a deviation. Sums are f64 and are added to: the caller clears them. dx may be dy or x.
 * Lanes: p = 1 in the type of the data or, with `wide`, in f64; other p in f64 always. Coefficients are of the type of the
 *   lanes.
 * Error: p = 1: sums as in moments.ts, dx five roundings. Other p: each power 3 + |p·ln|d|| ulps of f64. NaN in a row or
 *   column stays there; with f32 lanes the sums of a block must not overflow, about 1e38.
 * Source: Q. Liao, K. Kawaguchi, T. Poggio, "Streaming Normalization", 2016, arXiv:1610.06160, for the statistics.
 */
import { runAddWide } from "../columns/col-gradient";
import { COL_BLOCK_ROWS, COL_TILE } from "../columns/col-moments";
import { rowBlock } from "../rows/moments";
import { v } from "../vec";
import { fn } from "./pointwise";

/** |d| and sign(d). */
@final
@unmanaged
class Absolute {
  @inline
  power<A>(d: v128, p: v128): v128 {
    return v.abs<A>(d);
  }

  @inline
  slope<A>(d: v128, power: v128): v128 {
    return v.sign<A>(d);
  }
}

/** |d|^p and |d|^p/d. */
@final
@unmanaged
class Power {
  @inline
  power<A>(d: v128, p: v128): v128 {
    return fn.pow<A>(v.abs<A>(d), p);
  }

  @inline
  slope<A>(d: v128, power: v128): v128 {
    return v.select(v.zero(), v.div<A>(power, d), v.equal<A>(d, v.zero()));
  }
}

abstract class Deviation {
  /** As many elements of type T as a vector of type A holds, less center and rest. */
  @inline
  static of<T, A>(x: usize, center: v128, rest: v128): v128 {
    return v.sub<A>(v.sub<A>(v.loadAs<T, A>(x), center), rest);
  }

  /** w·dy + slope·|d|^(p−1)·sign(d) + c of as many elements. */
  @inline
  static gradient<T, A, P>(
    dy: usize,
    x: usize,
    center: v128,
    rest: v128,
    w: v128,
    slope: v128,
    c: v128,
    p: v128,
  ): v128 {
    const policy = changetype<P>(0);
    const d = Deviation.of<T, A>(x, center, rest);
    // @ts-ignore: P has the methods
    const through = policy.slope<A>(d, policy.power<A>(d, p));
    return v.oneNaN<A>(v.mulAdd<A>(w, v.loadAs<T, A>(dy), v.mulAdd<A>(slope, through, c)));
  }
}

/** Second sum of the last `blockSums`; a wasm function returns one value. */
let slopeSum: f64 = 0;

/** Σ power over n elements, returned, and Σ slope, left in `slopeSum`. Two accumulators of a vector each. */
function blockSums<T, A, P>(x: usize, n: i32, center: v128, rest: v128, p: v128): f64 {
  const policy = changetype<P>(0);
  const step: usize = (16 / sizeof<A>()) * sizeof<T>();
  let a0 = v.zero();
  let a1 = v.zero();
  let b0 = v.zero();
  let b1 = v.zero();
  const end = x + <usize>(n / v.lanes<A>()) * step;
  const twos = x + <usize>(n / (2 * v.lanes<A>())) * (2 * step);
  for (; x < twos; x += 2 * step) {
    const d0 = Deviation.of<T, A>(x, center, rest);
    const d1 = Deviation.of<T, A>(x + step, center, rest);
    // @ts-ignore: P has the methods
    const s0 = policy.power<A>(d0, p);
    // @ts-ignore: P has the methods
    const s1 = policy.power<A>(d1, p);
    a0 = v.add<A>(a0, s0);
    a1 = v.add<A>(a1, s1);
    // @ts-ignore: P has the methods
    b0 = v.add<A>(b0, policy.slope<A>(d0, s0));
    // @ts-ignore: P has the methods
    b1 = v.add<A>(b1, policy.slope<A>(d1, s1));
  }
  if (x < end) {
    const d = Deviation.of<T, A>(x, center, rest);
    // @ts-ignore: P has the methods
    const s = policy.power<A>(d, p);
    a0 = v.add<A>(a0, s);
    // @ts-ignore: P has the methods
    b0 = v.add<A>(b0, policy.slope<A>(d, s));
    x += step;
  }
  const left = n & (v.lanes<A>() - 1);
  if (left) {
    const mask = v.headMask<A>(left);
    const d = Deviation.of<T, A>(x, center, rest);
    // @ts-ignore: P has the methods
    const s = policy.power<A>(d, p);
    a1 = v.add<A>(a1, v.and(s, mask));
    // @ts-ignore: P has the methods
    b1 = v.add<A>(b1, v.and(policy.slope<A>(d, s), mask));
  }
  slopeSum = v.sumLanes<A>(v.add<A>(b0, b1));
  return v.sumLanes<A>(v.add<A>(a0, a1));
}

/** Rows of at most this many elements are summed a row in each lane. */
const SHORT_ROW: i32 = 16;

/** Adds a vector to two f64, or to one. */
function addPair(at: usize, a: v128, n: i32): void {
  const sum = v.add<f64>(v.load(at), a);
  if (n > 1) v.store(at, sum);
  else v.storeHead<f64>(at, sum, 1);
}

/** Adds the lanes of a vector, or the first n of them, to as many f64. */
function addLanes<T>(at: usize, a: v128, n: i32): void {
  addPair(at, v.lowAs64<T>(a), n);
  if (sizeof<T>() == 4 && n > 2) addPair(at + 16, v.widenHigh(a), n - 2);
}

/**
 * rowPowerSumsIn for short rows of p = 1 in the type of the data: what takes the time of a short row is not its elements, but
 * lanes to be summed and calls. What a lane finds does not depend on the rows beside it.
 */
function shortRowAbsolutes<T>(
  powers: usize,
  slopes: usize,
  x: usize,
  center: usize,
  rest: usize,
  rows: i32,
  n: i32,
  first: i32,
  period: i32,
): void {
  const bytes = <usize>n * sizeof<T>();
  const lanes = v.lanes<T>();
  let i = first % period;
  for (; rows > 0; rows -= lanes) {
    // Lanes beyond the last row have it once more.
    const x1 = rows > 1 ? x + bytes : x;
    const x2 = rows > 2 ? x1 + bytes : x1;
    const x3 = rows > 3 ? x2 + bytes : x2;
    const at = <usize>i * sizeof<T>();
    const isRun = i + lanes <= period;
    const c = isRun ? v.load(center + at) : v.loadCycle<T>(center, i, period);
    const r = isRun ? v.load(rest + at) : v.loadCycle<T>(rest, i, period);
    let s = v.zero();
    let q = v.zero();
    for (let j: usize = 0; j < bytes; j += sizeof<T>()) {
      const d = v.sub<T>(v.sub<T>(v.gather<T>(x + j, x1 + j, x2 + j, x3 + j), c), r);
      s = v.add<T>(s, v.abs<T>(d));
      q = v.add<T>(q, v.sign<T>(d));
    }
    addLanes<T>(powers, s, rows);
    addLanes<T>(slopes, q, rows);
    x += <usize>lanes * bytes;
    powers += (<usize>lanes) << 3;
    slopes += (<usize>lanes) << 3;
    i = (i + lanes) % period;
  }
}

function rowPowerSumsIn<T, A, P>(
  powers: usize,
  slopes: usize,
  x: usize,
  center: usize,
  rest: usize,
  rows: i32,
  n: i32,
  first: i32,
  period: i32,
  p: f64,
): void {
  const block = rowBlock<T>();
  const exponent = v.splat<f64>(p);
  let i = first % period;
  for (let r = 0; r < rows; r++) {
    const k0 = v.loadSplat<A>(center + <usize>i * sizeof<A>());
    const k1 = v.loadSplat<A>(rest + <usize>i * sizeof<A>());
    const at = (<usize>r) << 3;
    for (let j = 0; j < n; j += block) {
      const size = n - j < block ? n - j : block;
      if (sizeof<A>() == sizeof<T>() && p == 1 && size <= SHORT_ROW) {
        // As where a row that was cut ends in so many.
        const k = <usize>i * sizeof<T>();
        shortRowAbsolutes<T>(powers + at, slopes + at, x, center + k, rest + k, 1, size, 0, 1);
      } else {
        const sum = blockSums<T, A, P>(x, size, k0, k1, exponent);
        store<f64>(powers + at, load<f64>(powers + at) + sum);
        store<f64>(slopes + at, load<f64>(slopes + at) + slopeSum);
      }
      x += <usize>size * sizeof<T>();
    }
    if (++i == period) i = 0;
  }
}

/** s[j] += power and q[j] += slope of one row. */
function colPowerAdd<T, A, P>(s: usize, q: usize, x: usize, center: usize, rest: usize, width: i32, p: v128): void {
  const policy = changetype<P>(0);
  const step: usize = (16 / sizeof<A>()) * sizeof<T>();
  const end = s + <usize>width * sizeof<A>();
  for (; s < end; s += 16, q += 16, center += 16, rest += 16, x += step) {
    const d = Deviation.of<T, A>(x, v.load(center), v.load(rest));
    // @ts-ignore: P has the methods
    const power = policy.power<A>(d, p);
    v.store(s, v.add<A>(v.load(s), power));
    // @ts-ignore: P has the methods
    v.store(q, v.add<A>(v.load(q), policy.slope<A>(d, power)));
  }
}

function colPowerSumsIn<T, A, P>(
  powers: usize,
  slopes: usize,
  x: usize,
  center: usize,
  rest: usize,
  rows: i32,
  cols: i32,
  p: f64,
  scratch: usize,
): void {
  const stride = <usize>cols * sizeof<T>();
  const exponent = v.splat<f64>(p);
  const s = scratch;
  const q = scratch + <usize>COL_TILE * 8;
  for (let r = 0; r < rows; r += COL_BLOCK_ROWS) {
    const height = rows - r < COL_BLOCK_ROWS ? rows - r : COL_BLOCK_ROWS;
    for (let j = 0; j < cols; j += COL_TILE) {
      const width = cols - j < COL_TILE ? cols - j : COL_TILE;
      const skip = <usize>j * sizeof<A>();
      memory.fill(s, 0, <usize>((width + 3) & ~3) * sizeof<A>());
      memory.fill(q, 0, <usize>((width + 3) & ~3) * sizeof<A>());
      for (let i = 0; i < height; i++) {
        const from = x + <usize>i * stride + <usize>j * sizeof<T>();
        colPowerAdd<T, A, P>(s, q, from, center + skip, rest + skip, width, exponent);
      }
      runAddWide<A>(powers + ((<usize>j) << 3), s, width);
      runAddWide<A>(slopes + ((<usize>j) << 3), q, width);
    }
    x += <usize>height * stride;
  }
}

function runGradPower<T, A, P>(
  dx: usize,
  dy: usize,
  x: usize,
  n: i32,
  center: v128,
  rest: v128,
  w: v128,
  slope: v128,
  c: v128,
  p: v128,
): void {
  const step: usize = (16 / sizeof<A>()) * sizeof<T>();
  const end = dx + <usize>(n / v.lanes<A>()) * step;
  for (; dx < end; dx += step, dy += step, x += step) {
    v.storeAs<T, A>(dx, Deviation.gradient<T, A, P>(dy, x, center, rest, w, slope, c, p), 0);
  }
  const left = n & (v.lanes<A>() - 1);
  if (left) v.storeAs<T, A>(dx, Deviation.gradient<T, A, P>(dy, x, center, rest, w, slope, c, p), left);
}

function rowGradPowerIn<T, A, P>(
  dx: usize,
  dy: usize,
  x: usize,
  center: usize,
  rest: usize,
  w: usize,
  slope: usize,
  c: usize,
  rows: i32,
  n: i32,
  first: i32,
  period: i32,
  p: f64,
): void {
  const bytes = <usize>n * sizeof<T>();
  const exponent = v.splat<f64>(p);
  let i = first % period;
  for (let r = 0; r < rows; r++) {
    const at = <usize>i * sizeof<A>();
    const k0 = v.loadSplat<A>(center + at);
    const k1 = v.loadSplat<A>(rest + at);
    const k2 = v.loadSplat<A>(w + at);
    const k3 = v.loadSplat<A>(slope + at);
    const k4 = v.loadSplat<A>(c + at);
    runGradPower<T, A, P>(dx, dy, x, n, k0, k1, k2, k3, k4, exponent);
    dx += bytes;
    dy += bytes;
    x += bytes;
    if (++i == period) i = 0;
  }
}

/** One row, the coefficients those of each column. */
function colGradPowerRow<T, A, P>(
  dx: usize,
  dy: usize,
  x: usize,
  center: usize,
  rest: usize,
  w: usize,
  slope: usize,
  c: usize,
  cols: i32,
  p: v128,
): void {
  const step: usize = (16 / sizeof<A>()) * sizeof<T>();
  const end = dx + <usize>(cols / v.lanes<A>()) * step;
  let k: usize = 0;
  for (; dx < end; dx += step, dy += step, x += step, k += 16) {
    const g = Deviation.gradient<T, A, P>(
      dy,
      x,
      v.load(center + k),
      v.load(rest + k),
      v.load(w + k),
      v.load(slope + k),
      v.load(c + k),
      p,
    );
    v.storeAs<T, A>(dx, g, 0);
  }
  const left = cols & (v.lanes<A>() - 1);
  if (left) {
    const g = Deviation.gradient<T, A, P>(
      dy,
      x,
      v.load(center + k),
      v.load(rest + k),
      v.load(w + k),
      v.load(slope + k),
      v.load(c + k),
      p,
    );
    v.storeAs<T, A>(dx, g, left);
  }
}

function colGradPowerIn<T, A, P>(
  dx: usize,
  dy: usize,
  x: usize,
  center: usize,
  rest: usize,
  w: usize,
  slope: usize,
  c: usize,
  rows: i32,
  cols: i32,
  p: f64,
): void {
  const bytes = <usize>cols * sizeof<T>();
  const exponent = v.splat<f64>(p);
  for (let r = 0; r < rows; r++) {
    colGradPowerRow<T, A, P>(dx, dy, x, center, rest, w, slope, c, cols, exponent);
    dx += bytes;
    dy += bytes;
    x += bytes;
  }
}

export function rowPowerSums<T>(
  powers: usize,
  slopes: usize,
  x: usize,
  center: usize,
  rest: usize,
  rows: i32,
  n: i32,
  first: i32,
  period: i32,
  p: f64,
  wide: i32,
): void {
  if (p == 1 && n <= SHORT_ROW && (sizeof<T>() == 8 || !wide))
    shortRowAbsolutes<T>(powers, slopes, x, center, rest, rows, n, first, period);
  else if (sizeof<T>() == 4 && !wide)
    rowPowerSumsIn<T, T, Absolute>(powers, slopes, x, center, rest, rows, n, first, period, p);
  else if (p == 1) rowPowerSumsIn<T, f64, Absolute>(powers, slopes, x, center, rest, rows, n, first, period, p);
  else rowPowerSumsIn<T, f64, Power>(powers, slopes, x, center, rest, rows, n, first, period, p);
}
export function colPowerSums<T>(
  powers: usize,
  slopes: usize,
  x: usize,
  center: usize,
  rest: usize,
  rows: i32,
  cols: i32,
  p: f64,
  wide: i32,
  scratch: usize,
): void {
  if (sizeof<T>() == 4 && !wide)
    colPowerSumsIn<T, T, Absolute>(powers, slopes, x, center, rest, rows, cols, p, scratch);
  else if (p == 1) colPowerSumsIn<T, f64, Absolute>(powers, slopes, x, center, rest, rows, cols, p, scratch);
  else colPowerSumsIn<T, f64, Power>(powers, slopes, x, center, rest, rows, cols, p, scratch);
}
export function rowGradPower<T>(
  dx: usize,
  dy: usize,
  x: usize,
  center: usize,
  rest: usize,
  w: usize,
  slope: usize,
  c: usize,
  rows: i32,
  n: i32,
  first: i32,
  period: i32,
  p: f64,
  wide: i32,
): void {
  if (sizeof<T>() == 4 && !wide)
    rowGradPowerIn<T, T, Absolute>(dx, dy, x, center, rest, w, slope, c, rows, n, first, period, p);
  else if (p == 1) rowGradPowerIn<T, f64, Absolute>(dx, dy, x, center, rest, w, slope, c, rows, n, first, period, p);
  else rowGradPowerIn<T, f64, Power>(dx, dy, x, center, rest, w, slope, c, rows, n, first, period, p);
}
export function colGradPower<T>(
  dx: usize,
  dy: usize,
  x: usize,
  center: usize,
  rest: usize,
  w: usize,
  slope: usize,
  c: usize,
  rows: i32,
  cols: i32,
  p: f64,
  wide: i32,
): void {
  if (sizeof<T>() == 4 && !wide) colGradPowerIn<T, T, Absolute>(dx, dy, x, center, rest, w, slope, c, rows, cols, p);
  else if (p == 1) colGradPowerIn<T, f64, Absolute>(dx, dy, x, center, rest, w, slope, c, rows, cols, p);
  else colGradPowerIn<T, f64, Power>(dx, dy, x, center, rest, w, slope, c, rows, cols, p);
}
