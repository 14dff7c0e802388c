/**
 * Pixels of bytes to floats and back, an affine of each channel on the way, and pixels blended of their neighbours.
 *
 *   y = (byte − center[c])·scale[c] + shift[c];  byte = y·scale[c] + shift[c], ties to even, within 0 to 255, NaN to 0
 *
 * Shapes: n pixels of `channels` (3 or 4) bytes, r g b and one that is left out. Floats are f32, either three planes of n,
 *   `plane` elements apart, or n triples r g b. Coefficients are 12 f32: those of r, g and b, four times over, so that a
 *   vector of them starts at any third of four pixels. Outputs may not overlap inputs.
 * Error: where byte − center is exact (center a multiple of 2⁻¹⁵ below 2⁸) 1.5 times 2⁻²⁴ of |y|, and of |shift|.
 */
import { v } from "./vec";

/** Pixels that the passes over the three channels take in turns, so that the bytes stay in L1. */
const BLOCK: i32 = 1024;

/** Which bytes of a vector make four f32, and how far the bytes and the floats of the next four pixels are. */
@final
@unmanaged
class PlaneOf4 {
  @inline
  inputBytes(): usize {
    return 16;
  }

  @inline
  outputBytes(): usize {
    return 16;
  }

  /** A mask takes no vector constant, which V8 would make anew in each round of the loop. */
  @inline
  pick(bytes: v128): v128 {
    return v.and(bytes, v.splat32(255));
  }
}

@final
@unmanaged
class PlaneOf3 {
  @inline
  inputBytes(): usize {
    return 12;
  }

  @inline
  outputBytes(): usize {
    return 16;
  }

  @inline
  pick(bytes: v128): v128 {
    return v.pickBytes(bytes, i8x16(0, -1, -1, -1, 3, -1, -1, -1, 6, -1, -1, -1, 9, -1, -1, -1));
  }
}

@final
@unmanaged
class TriplesOf3 {
  @inline
  inputBytes(): usize {
    return 12;
  }

  @inline
  outputBytes(): usize {
    return 48;
  }

  @inline
  pick(bytes: v128): v128 {
    return v.pickBytes(bytes, i8x16(0, -1, -1, -1, 1, -1, -1, -1, 2, -1, -1, -1, 3, -1, -1, -1));
  }
}

/** r g b and the r of the next pixel. */
@final
@unmanaged
class FirstTriplesOf4 {
  @inline
  inputBytes(): usize {
    return 16;
  }

  @inline
  outputBytes(): usize {
    return 48;
  }

  @inline
  pick(bytes: v128): v128 {
    return v.pickBytes(bytes, i8x16(0, -1, -1, -1, 1, -1, -1, -1, 2, -1, -1, -1, 4, -1, -1, -1));
  }
}

/** g b and the r g of the next pixel. */
@final
@unmanaged
class SecondTriplesOf4 {
  @inline
  inputBytes(): usize {
    return 16;
  }

  @inline
  outputBytes(): usize {
    return 48;
  }

  @inline
  pick(bytes: v128): v128 {
    return v.pickBytes(bytes, i8x16(0, -1, -1, -1, 1, -1, -1, -1, 3, -1, -1, -1, 4, -1, -1, -1));
  }
}

/** b and the r g b of the next pixel. */
@final
@unmanaged
class ThirdTriplesOf4 {
  @inline
  inputBytes(): usize {
    return 16;
  }

  @inline
  outputBytes(): usize {
    return 48;
  }

  @inline
  pick(bytes: v128): v128 {
    return v.pickBytes(bytes, i8x16(0, -1, -1, -1, 2, -1, -1, -1, 3, -1, -1, -1, 4, -1, -1, -1));
  }
}

@inline
function spreadOne<P>(x: usize, center: v128, scale: v128, shift: v128): v128 {
  const p = changetype<P>(0);
  // @ts-ignore: P has the methods
  return v.mulAdd<f32>(v.sub<f32>(v.toFloat32(p.pick(v.load(x))), center), scale, shift);
}

/**
 * Four floats of each four pixels of n; of the last n mod 4 pixels `last` floats, none where it is not positive. Eight
 * vectors a round pay for the constant of `pick`.
 */
function spread<P>(y: usize, x: usize, n: i32, last: i32, center: v128, scale: v128, shift: v128): void {
  const p = changetype<P>(0);
  // @ts-ignore: P has the methods
  const from = p.inputBytes();
  // @ts-ignore: P has the methods
  const to = p.outputBytes();
  const eights = y + <usize>(n >> 5) * 8 * to;
  for (; y < eights; y += 8 * to, x += 8 * from) {
    v.store(y, spreadOne<P>(x, center, scale, shift));
    v.store(y + to, spreadOne<P>(x + from, center, scale, shift));
    v.store(y + 2 * to, spreadOne<P>(x + 2 * from, center, scale, shift));
    v.store(y + 3 * to, spreadOne<P>(x + 3 * from, center, scale, shift));
    v.store(y + 4 * to, spreadOne<P>(x + 4 * from, center, scale, shift));
    v.store(y + 5 * to, spreadOne<P>(x + 5 * from, center, scale, shift));
    v.store(y + 6 * to, spreadOne<P>(x + 6 * from, center, scale, shift));
    v.store(y + 7 * to, spreadOne<P>(x + 7 * from, center, scale, shift));
  }
  const ones = y + <usize>((n >> 2) & 7) * to;
  for (; y < ones; y += to, x += from) v.store(y, spreadOne<P>(x, center, scale, shift));
  if (last >= 4) v.store(y, spreadOne<P>(x, center, scale, shift));
  else if (last > 0) v.storeHead<f32>(y, spreadOne<P>(x, center, scale, shift), last);
}

/** Channel c of n pixels; the pixels' bytes are read from `x` on, so that the channel is the first byte of each. */
function spreadPlane(y: usize, x: usize, n: i32, channels: i32, center: usize, scale: usize, shift: usize): void {
  const k0 = v.loadSplat<f32>(center);
  const k1 = v.loadSplat<f32>(scale);
  const k2 = v.loadSplat<f32>(shift);
  if (channels == 4) spread<PlaneOf4>(y, x, n, n & 3, k0, k1, k2);
  else spread<PlaneOf3>(y, x, n, n & 3, k0, k1, k2);
}

/** Pixels [n, channels] to three planes of n. */
export function pixelsToPlanes(
  y: usize,
  plane: i32,
  x: usize,
  n: i32,
  channels: i32,
  center: usize,
  scale: usize,
  shift: usize,
): void {
  for (let done = 0; done < n; done += BLOCK) {
    const size = n - done < BLOCK ? n - done : BLOCK;
    for (let c: usize = 0; c < 3; c++) {
      const at = y + ((c * <usize>plane + <usize>done) << 2);
      spreadPlane(at, x + c, size, channels, center + (c << 2), scale + (c << 2), shift + (c << 2));
    }
    x += <usize>(size * channels);
  }
}

/** Pixels [n, channels] to triples [n, 3]. */
export function pixelsToTriples(
  y: usize,
  x: usize,
  n: i32,
  channels: i32,
  center: usize,
  scale: usize,
  shift: usize,
): void {
  for (let done = 0; done < n; done += BLOCK) {
    const size = n - done < BLOCK ? n - done : BLOCK;
    const last = 3 * (size & 3);
    for (let third = 0; third < 3; third++) {
      const at = (<usize>third) << 4;
      const k0 = v.load(center + at);
      const k1 = v.load(scale + at);
      const k2 = v.load(shift + at);
      const rest = last - 4 * third;
      if (channels == 3) spread<TriplesOf3>(y + at, x + 4 * third, size, rest, k0, k1, k2);
      else if (third == 0) spread<FirstTriplesOf4>(y, x, size, rest, k0, k1, k2);
      else if (third == 1) spread<SecondTriplesOf4>(y + at, x + 5, size, rest, k0, k1, k2);
      else spread<ThirdTriplesOf4>(y + at, x + 10, size, rest, k0, k1, k2);
    }
    x += <usize>(size * channels);
    y += <usize>size * 12;
  }
}

/** 2²³ has a last place of 1: the sum's low byte is the number, rounded. */
@inline
function roundToByte(y: v128, scale: v128, shift: v128): v128 {
  const within = v.min<f32>(v.maxPassingNaN<f32>(v.zero(), v.mulAdd<f32>(y, scale, shift)), v.splat<f32>(255));
  return v.add<f32>(within, v.splat<f32>(8388608));
}

/** Stores the first n of four pixels r g b 255: all four bytes of each, or three. */
@inline
function storePixels(at: usize, pixels: v128, channels: i32, n: i32): void {
  if (channels == 4) {
    if (n == 4) v.store(at, pixels);
    else v.storeHead<f32>(at, pixels, n);
  } else {
    const packed = v.pickBytes(pixels, i8x16(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1));
    v.storeBytes(at, packed, 3 * n);
  }
}

/** Three planes of n to pixels [n, channels], the fourth channel 255. */
export function planesToPixels(
  out: usize,
  y: usize,
  plane: i32,
  n: i32,
  channels: i32,
  scale: usize,
  shift: usize,
): void {
  const apart = (<usize>plane) << 2;
  const s0 = v.loadSplat<f32>(scale);
  const s1 = v.loadSplat<f32>(scale + 4);
  const s2 = v.loadSplat<f32>(scale + 8);
  const t0 = v.loadSplat<f32>(shift);
  const t1 = v.loadSplat<f32>(shift + 4);
  const t2 = v.loadSplat<f32>(shift + 8);
  for (let done = 0; done < n; done += 4) {
    const red = v.or(roundToByte(v.load(y), s0, t0), v.splat32(0xff000000));
    const green = v.shiftLeft32(roundToByte(v.load(y + apart), s1, t1), 8);
    const blue = v.shiftLeft32(roundToByte(v.load(y + apart + apart), s2, t2), 16);
    storePixels(out, v.or(red, v.or(green, blue)), channels, n - done < 4 ? n - done : 4);
    y += 16;
    out += <usize>channels << 2;
  }
}

/** The third'th vector of four triples as whole numbers. Beyond `floats` nothing is read. */
@inline
function roundTriples(y: usize, third: i32, floats: i32, scale: usize, shift: usize): v128 {
  if (floats <= 4 * third) return v.zero();
  const at = (<usize>third) << 4;
  return v.and(roundToByte(v.load(y + at), v.load(scale + at), v.load(shift + at)), v.splat32(255));
}

/** Triples [n, 3] to pixels [n, channels], the fourth channel 255. */
export function triplesToPixels(out: usize, y: usize, n: i32, channels: i32, scale: usize, shift: usize): void {
  for (let done = 0; done < n; done += 4) {
    const size = n - done < 4 ? n - done : 4;
    const a = roundTriples(y, 0, 3 * size, scale, shift);
    const b = roundTriples(y, 1, 3 * size, scale, shift);
    const c = roundTriples(y, 2, 3 * size, scale, shift);
    const bytes = v.narrow32(a, b, c, v.zero());
    const apart = v.pickBytes(bytes, i8x16(0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11, -1));
    storePixels(out, v.or(apart, v.splat32(0xff000000)), channels, size);
    y += 48;
    out += <usize>channels << 2;
  }
}

/**
 * A row of n pixels, each between four others: of the pixels at left[i] and right[i] bytes in the rows `top` and `bottom`
 *   out[i] = ((t + (b − t)·down) − center)·scale + shift,  t = top(left) + (top(right) − top(left))·across[i], b likewise,
 * as four f32 each, of which the fourth has no meaning. left and right are u32, across f32.
 */
export function blendPixels(
  out: usize,
  top: usize,
  bottom: usize,
  left: usize,
  right: usize,
  across: usize,
  down: f32,
  n: i32,
  center: usize,
  scale: usize,
  shift: usize,
): void {
  const k0 = v.load(center);
  const k1 = v.load(scale);
  const k2 = v.load(shift);
  const share = v.splat<f32>(down);
  for (let i: usize = 0; i < (<usize>n) << 2; i += 4) {
    const l = <usize>load<u32>(left + i);
    const r = <usize>load<u32>(right + i);
    const w = v.loadSplat<f32>(across + i);
    const a = v.loadBytes(top + l);
    const b = v.loadBytes(bottom + l);
    const t = v.mulAdd<f32>(v.sub<f32>(v.loadBytes(top + r), a), w, a);
    const u = v.mulAdd<f32>(v.sub<f32>(v.loadBytes(bottom + r), b), w, b);
    const pixel = v.mulAdd<f32>(v.sub<f32>(u, t), share, t);
    v.store(out + (i << 2), v.mulAdd<f32>(v.sub<f32>(pixel, k0), k1, k2));
  }
}

/** Fours of f32 [n, 4] to three planes of n, the fourth of each left out. */
export function foursToPlanes(y: usize, plane: i32, x: usize, n: i32): void {
  const apart = (<usize>plane) << 2;
  const end = y + (<usize>(n & ~3) << 2);
  for (; y < end; y += 16, x += 64) {
    const a = v.load(x);
    const b = v.load(x + 16);
    const c = v.load(x + 32);
    const d = v.load(x + 48);
    const ab = v.zipLow32(a, b);
    const cd = v.zipLow32(c, d);
    v.store(y, v.lowHalves(ab, cd));
    v.store(y + apart, v.highHalves(ab, cd));
    v.store(y + apart + apart, v.lowHalves(v.zipHigh32(a, b), v.zipHigh32(c, d)));
  }
  for (let i = n & 3; i > 0; i--, y += 4, x += 16) {
    store<f32>(y, load<f32>(x));
    store<f32>(y + apart, load<f32>(x + 4));
    store<f32>(y + apart + apart, load<f32>(x + 8));
  }
}

/** Fours of f32 [n, 4] to triples [n, 3]. */
export function foursToTriples(y: usize, x: usize, n: i32): void {
  const end = y + <usize>n * 12;
  for (; y < end; y += 12, x += 16) v.storeHead<f32>(y, v.load(x), 3);
}
