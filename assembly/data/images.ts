/**
 * Pixels of bytes to floats and back, an affine of each channel on the way, and pixels blended of their neighbours.
 *
 *   y = (byte − center[c])·scale[c] + shift[c];  byte = y·scale[c] + shift[c], ties to even, within 0 to 255, NaN to 0
 *
 * Shapes: n pixels of `channels` (3 or 4) bytes: r g b, and one that is left out. Floats are f32: three planes of n,
 *   `plane` elements apart, or n triples r g b. Coefficients are 12 f32, those of r, g and b four times over: three
 *   vectors for the three of four triples. Outputs may not overlap inputs.
 * Error: three roundings, |y|·1.5·2⁻²³ at the most, where byte − center is exact (center a multiple of 2⁻¹⁵ up to 2⁸)
 *   and |shift| far below |y|.
 */
import { v } from "../vec";

/** Bytes 0, 1 and 2 of a word. In memory, since V8 would make a vector constant anew in each round of a loop. */
const MASKS = memory.data<u32>([
  0xff, 0xff, 0xff, 0xff, 0xff00, 0xff00, 0xff00, 0xff00, 0xff0000, 0xff0000, 0xff0000, 0xff0000,
]);

/** How four pixels lie in a vector of bytes. */
@final
@unmanaged
class Of4 {
  @inline
  bytes(): usize {
    return 16;
  }

  /** The pixels as four words. */
  @inline
  words(pixels: v128): v128 {
    return pixels;
  }

  /** The first four of r g b r g b ..., each a word. */
  @inline
  first(pixels: v128): v128 {
    return v.pickBytes(pixels, i8x16(0, -1, -1, -1, 1, -1, -1, -1, 2, -1, -1, -1, 4, -1, -1, -1));
  }

  @inline
  second(pixels: v128): v128 {
    return v.pickBytes(pixels, i8x16(5, -1, -1, -1, 6, -1, -1, -1, 8, -1, -1, -1, 9, -1, -1, -1));
  }

  @inline
  third(pixels: v128): v128 {
    return v.pickBytes(pixels, i8x16(10, -1, -1, -1, 12, -1, -1, -1, 13, -1, -1, -1, 14, -1, -1, -1));
  }
}

@final
@unmanaged
class Of3 {
  @inline
  bytes(): usize {
    return 12;
  }

  @inline
  words(pixels: v128): v128 {
    return v.pickBytes(pixels, i8x16(0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11, -1));
  }

  @inline
  first(pixels: v128): v128 {
    return v.pickBytes(pixels, i8x16(0, -1, -1, -1, 1, -1, -1, -1, 2, -1, -1, -1, 3, -1, -1, -1));
  }

  @inline
  second(pixels: v128): v128 {
    return v.pickBytes(pixels, i8x16(4, -1, -1, -1, 5, -1, -1, -1, 6, -1, -1, -1, 7, -1, -1, -1));
  }

  @inline
  third(pixels: v128): v128 {
    return v.pickBytes(pixels, i8x16(8, -1, -1, -1, 9, -1, -1, -1, 10, -1, -1, -1, 11, -1, -1, -1));
  }
}

/** What the loops below are made of. */
abstract class pixel {
  @inline
  static affine(whole: v128, center: v128, scale: v128, shift: v128): v128 {
    return v.mulAdd<f32>(v.sub<f32>(v.toFloat32(whole), center), scale, shift);
  }

  /** A coefficient in every lane, times a power of two. */
  @inline
  static splatTimes(at: usize, power: f32): v128 {
    return v.splat<f32>(load<f32>(at) * power);
  }

  /** The three channels of the pixel at x. */
  @inline
  static spreadPixel(y: usize, apart: usize, x: usize, center: usize, scale: usize, shift: usize): void {
    for (let c: usize = 0; c < 3; c++) {
      const at = c << 2;
      const d = <f32>load<u8>(x + c) - load<f32>(center + at);
      store<f32>(y + c * apart, d * load<f32>(scale + at) + load<f32>(shift + at));
    }
  }

  /** 2²³ has a last place of 1: the sum's low byte is the number, rounded. */
  @inline
  static roundToByte(y: v128, scale: v128, shift: v128): v128 {
    const least = v.maxPassingNaN<f32>(v.zero(), v.mulAdd<f32>(y, scale, shift));
    const within = v.minPassingNaN<f32>(v.splat<f32>(255), least);
    return v.add<f32>(within, v.splat<f32>(8388608));
  }

  /** Stores the first n of four pixels r g b 255: all four bytes of each, or three. */
  @inline
  static storePixels(at: usize, pixels: v128, channels: i32, n: i32): void {
    if (channels == 4) {
      if (n == 4) v.store(at, pixels);
      else v.storeHead<f32>(at, pixels, n);
    } else {
      const packed = v.pickBytes(pixels, i8x16(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1));
      v.storeBytes(at, packed, 3 * n);
    }
  }

  /** The third'th vector of four triples as whole numbers. Beyond `floats` nothing is read. */
  @inline
  static roundTriples(y: usize, third: i32, floats: i32, scale: usize, shift: usize): v128 {
    if (floats <= 4 * third) return v.zero();
    const at = (<usize>third) << 4;
    return v.and(pixel.roundToByte(v.load(y + at), v.load(scale + at), v.load(shift + at)), v.splat32(255));
  }
}

/**
 * One channel of pixels, four a vector, to a plane. The byte stays where it is in the word, 2⁸ or 2¹⁶ times as large,
 * which the coefficients undo.
 */
function spreadPlane<P>(y: usize, x: usize, count: i32, mask: v128, center: v128, scale: v128, shift: v128): void {
  const p = changetype<P>(0);
  // @ts-ignore: P has the methods
  const step = p.bytes();
  const fours = y + ((<usize>count & ~3) << 4);
  for (; y < fours; y += 64, x += 4 * step) {
    // @ts-ignore: P has the methods
    v.store(y, pixel.affine(v.and(p.words(v.load(x)), mask), center, scale, shift));
    // @ts-ignore: P has the methods
    v.store(y + 16, pixel.affine(v.and(p.words(v.load(x + step)), mask), center, scale, shift));
    // @ts-ignore: P has the methods
    v.store(y + 32, pixel.affine(v.and(p.words(v.load(x + 2 * step)), mask), center, scale, shift));
    // @ts-ignore: P has the methods
    v.store(y + 48, pixel.affine(v.and(p.words(v.load(x + 3 * step)), mask), center, scale, shift));
  }
  const ones = y + ((<usize>count & 3) << 4);
  for (; y < ones; y += 16, x += step) {
    // @ts-ignore: P has the methods
    v.store(y, pixel.affine(v.and(p.words(v.load(x)), mask), center, scale, shift));
  }
}

/** Fours of pixels of which one channel is spread after the other: their bytes stay in the first-level cache. */
const FOURS: i32 = 1024;

/**
 * `count` fours of pixels to planes `plane` bytes apart. One plane at a time, since stores to three that lie a multiple
 * of 4 KB apart, as those of most images do, get in each other's way.
 */
function spreadPlanes<P>(
  y: usize,
  plane: usize,
  x: usize,
  count: i32,
  center: usize,
  scale: usize,
  shift: usize,
): void {
  // @ts-ignore: P has the methods
  const step = changetype<P>(0).bytes();
  for (; count > 0; count -= FOURS) {
    const part = count < FOURS ? count : FOURS;
    let to = y;
    let power: f32 = 1;
    for (let at: usize = 0; at < 12; at += 4) {
      const c = pixel.splatTimes(center + at, power);
      const s = pixel.splatTimes(scale + at, 1 / power);
      spreadPlane<P>(to, x, part, v.load(MASKS + (at << 2)), c, s, v.loadSplat<f32>(shift + at));
      to += plane;
      power *= 256;
    }
    y += (<usize>part) << 4;
    x += <usize>part * step;
  }
}

/** Four pixels a vector, `count` vectors, to r g b r g b ... */
function spreadTriples<P>(y: usize, x: usize, count: i32, center: usize, scale: usize, shift: usize): void {
  const p = changetype<P>(0);
  // @ts-ignore: P has the methods
  const step = p.bytes();
  const c0 = v.load(center);
  const c1 = v.load(center + 16);
  const c2 = v.load(center + 32);
  const s0 = v.load(scale);
  const s1 = v.load(scale + 16);
  const s2 = v.load(scale + 32);
  const t0 = v.load(shift);
  const t1 = v.load(shift + 16);
  const t2 = v.load(shift + 32);
  const fours = y + <usize>(count & ~3) * 48;
  for (; y < fours; y += 192, x += 4 * step) {
    let a = v.load(x);
    // @ts-ignore: P has the methods
    v.store(y, pixel.affine(p.first(a), c0, s0, t0));
    // @ts-ignore: P has the methods
    v.store(y + 16, pixel.affine(p.second(a), c1, s1, t1));
    // @ts-ignore: P has the methods
    v.store(y + 32, pixel.affine(p.third(a), c2, s2, t2));
    a = v.load(x + step);
    // @ts-ignore: P has the methods
    v.store(y + 48, pixel.affine(p.first(a), c0, s0, t0));
    // @ts-ignore: P has the methods
    v.store(y + 64, pixel.affine(p.second(a), c1, s1, t1));
    // @ts-ignore: P has the methods
    v.store(y + 80, pixel.affine(p.third(a), c2, s2, t2));
    a = v.load(x + 2 * step);
    // @ts-ignore: P has the methods
    v.store(y + 96, pixel.affine(p.first(a), c0, s0, t0));
    // @ts-ignore: P has the methods
    v.store(y + 112, pixel.affine(p.second(a), c1, s1, t1));
    // @ts-ignore: P has the methods
    v.store(y + 128, pixel.affine(p.third(a), c2, s2, t2));
    a = v.load(x + 3 * step);
    // @ts-ignore: P has the methods
    v.store(y + 144, pixel.affine(p.first(a), c0, s0, t0));
    // @ts-ignore: P has the methods
    v.store(y + 160, pixel.affine(p.second(a), c1, s1, t1));
    // @ts-ignore: P has the methods
    v.store(y + 176, pixel.affine(p.third(a), c2, s2, t2));
  }
  const ones = y + <usize>(count & 3) * 48;
  for (; y < ones; y += 48, x += step) {
    const a = v.load(x);
    // @ts-ignore: P has the methods
    v.store(y, pixel.affine(p.first(a), c0, s0, t0));
    // @ts-ignore: P has the methods
    v.store(y + 16, pixel.affine(p.second(a), c1, s1, t1));
    // @ts-ignore: P has the methods
    v.store(y + 32, pixel.affine(p.third(a), c2, s2, t2));
  }
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
  const apart = (<usize>plane) << 2;
  if (channels == 4) spreadPlanes<Of4>(y, apart, x, n >> 2, center, scale, shift);
  else spreadPlanes<Of3>(y, apart, x, n >> 2, center, scale, shift);
  for (let i = n & ~3; i < n; i++) {
    pixel.spreadPixel(y + ((<usize>i) << 2), apart, x + <usize>(i * channels), center, scale, shift);
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
  if (channels == 4) spreadTriples<Of4>(y, x, n >> 2, center, scale, shift);
  else spreadTriples<Of3>(y, x, n >> 2, center, scale, shift);
  for (let i = n & ~3; i < n; i++) {
    pixel.spreadPixel(y + <usize>i * 12, 4, x + <usize>(i * channels), center, scale, shift);
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
    const red = v.or(pixel.roundToByte(v.load(y), s0, t0), v.splat32(0xff000000));
    const green = v.shiftLeft32(pixel.roundToByte(v.load(y + apart), s1, t1), 8);
    const blue = v.shiftLeft32(pixel.roundToByte(v.load(y + apart + apart), s2, t2), 16);
    pixel.storePixels(out, v.or(red, v.or(green, blue)), channels, n - done < 4 ? n - done : 4);
    y += 16;
    out += (<usize>channels) << 2;
  }
}

/** Triples [n, 3] to pixels [n, channels], the fourth channel 255. */
export function triplesToPixels(out: usize, y: usize, n: i32, channels: i32, scale: usize, shift: usize): void {
  for (let done = 0; done < n; done += 4) {
    const size = n - done < 4 ? n - done : 4;
    const a = pixel.roundTriples(y, 0, 3 * size, scale, shift);
    const b = pixel.roundTriples(y, 1, 3 * size, scale, shift);
    const c = pixel.roundTriples(y, 2, 3 * size, scale, shift);
    const bytes = v.narrow32(a, b, c, v.zero());
    const apart = v.pickBytes(bytes, i8x16(0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11, -1));
    pixel.storePixels(out, v.or(apart, v.splat32(0xff000000)), channels, size);
    y += 48;
    out += (<usize>channels) << 2;
  }
}

/**
 * A row of n pixels, each between four others: of the pixels at left[i] and right[i] bytes in the rows `top` and
 * `bottom`
 *
 *   out[i] = ((t + (b − t)·down) − center)·scale + shift
 *   t = top(left) + (top(right) − top(left))·across[i], b likewise
 *
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
  const end = y + ((<usize>(n & ~3)) << 2);
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
