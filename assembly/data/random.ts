/**
 * Random numbers by counter: number e of stream s under a seed is a function of (seed, s, e) alone, so that any part
 * can be made again, in any order, with the same bits everywhere.
 *
 * Formula: Philox4x32 with ten rounds on the counter (block, kind, stream) under the 64-bit seed gives four words a
 *   block; kind is 0 for eachKeep, 1 for rowNormal. eachKeep: y = scale·x + shift where the element's word is at least
 *   `threshold`, else `other`; element e = 16·q + 4·j + i has word j of block 4·q + i. eachChoose: the same by a mask
 *   of uint8, 0 = `other`. rowNormal: two words make a uniform number of 53 bits, a block two of them, u and w, and
 *   those two normal numbers √(−2·ln u)·cos 2πw and √(−2·ln u)·sin 2πw (Box and Muller).
 * Shapes: x, y and mask [n], y may be x; eachKeep's are the elements from 16·group on. rowNormal out [n] from element
 *   8·group on. scratch: randomScratchBytes.
 * Error: eachKeep and eachChoose two roundings; ln, sin and cos to 2 ulps in f64, rounded to T once.
 * Source: J. K. Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", 2011; G. E. P. Box, M. E. Muller, 1958.
 */
import { v } from "../vec";

/** Words of the last four blocks: lane i of word j is word j of block i. */
let word0: v128 = i32x4.splat(0);
let word1: v128 = i32x4.splat(0);
let word2: v128 = i32x4.splat(0);
let word3: v128 = i32x4.splat(0);

/** Bytes of a table: both keys of each round, both factors, both words of the stream, each in all lanes. */
const TABLE_BYTES: usize = 24 * 16;
const ROUNDS_BYTES: usize = 10 * 32;

/**
 * What all blocks of a stream have in common. It is loaded for each, factors too: constants the compiler would put
 * together from words anew in each round, which takes as long as the round.
 */
function writeTable(table: usize, stream: f64, seedLow: i32, seedHigh: i32): void {
  const whole = <u64>stream;
  for (let at: usize = 0; at < ROUNDS_BYTES; at += 32) {
    v.store(table + at, v.splat32(seedLow));
    v.store(table + at + 16, v.splat32(seedHigh));
    seedLow += 0x9e3779b9;
    seedHigh += 0xbb67ae85;
  }
  const rest = table + ROUNDS_BYTES;
  v.store(rest, v.splat32(0xd2511f53));
  v.store(rest + 16, v.splat32(0xcd9e8d57));
  v.store(rest + 32, v.splat32(<i32>whole));
  v.store(rest + 48, v.splat32(<i32>(whole >> 32)));
}

/** Blocks [block, block + 4) of the stream of the table. */
function fourBlocks(block: i32, kind: i32, table: usize): void {
  const end = table + ROUNDS_BYTES;
  const m0 = v.load(end);
  const m1 = v.load(end + 16);
  let c0 = v.add32(v.splat32(block), v.lanes32());
  let c1 = v.splat32(kind);
  let c2 = v.load(end + 32);
  let c3 = v.load(end + 48);
  for (; table < end; table += 64) {
    // Two rounds, lest words have to change places at the end of each.
    const a0 = v.productsLow32(c0, m0);
    const b0 = v.productsHigh32(c0, m0);
    const a1 = v.productsLow32(c2, m1);
    const b1 = v.productsHigh32(c2, m1);
    const d0 = v.xor(v.odd32(a1, b1), v.xor(c1, v.load(table)));
    const d2 = v.xor(v.odd32(a0, b0), v.xor(c3, v.load(table + 16)));
    const e0 = v.productsLow32(d0, m0);
    const f0 = v.productsHigh32(d0, m0);
    const e1 = v.productsLow32(d2, m1);
    const f1 = v.productsHigh32(d2, m1);
    c0 = v.xor(v.odd32(e1, f1), v.xor(v.even32(a1, b1), v.load(table + 32)));
    c1 = v.even32(e1, f1);
    c2 = v.xor(v.odd32(e0, f0), v.xor(v.even32(a0, b0), v.load(table + 48)));
    c3 = v.even32(e0, f0);
  }
  word0 = c0;
  word1 = c1;
  word2 = c2;
  word3 = c3;
}

abstract class choice {
  /** y = scale·x + shift where the element is kept, else `other`, for as many elements as there are words. */
  @inline
  static ofFour<T>(y: usize, x: usize, words: v128, least: v128, scale: v128, shift: v128, other: v128): void {
    const kept = v.atLeast32(words, least);
    if (sizeof<T>() == 4) {
      v.store(y, v.select(v.oneNaN<T>(v.mulAdd<T>(scale, v.load(x), shift)), other, kept));
      return;
    }
    v.store(y, v.select(v.oneNaN<T>(v.mulAdd<T>(scale, v.load(x), shift)), other, v.zipLow32(kept, kept)));
    v.store(y + 16, v.select(v.oneNaN<T>(v.mulAdd<T>(scale, v.load(x + 16), shift)), other, v.zipHigh32(kept, kept)));
  }
}

/** Bytes of scratch that the kernels here take: a table, and 16 elements. */
export function randomScratchBytes(): i32 {
  return <i32>TABLE_BYTES + 16 * sizeof<f64>();
}

/** The last elements, that make no sixteen, pass through scratch. */
export function eachKeep<T>(
  y: usize,
  x: usize,
  n: i32,
  scale: T,
  shift: T,
  other: T,
  group: i32,
  threshold: u32,
  stream: f64,
  seedLow: i32,
  seedHigh: i32,
  scratch: usize,
): void {
  writeTable(scratch, stream, seedLow, seedHigh);
  const tail = scratch + TABLE_BYTES;
  const least = v.splat32(threshold);
  const k0 = v.splat<T>(scale);
  const k1 = v.splat<T>(shift);
  const k2 = v.splat<T>(other);
  const four = 4 * sizeof<T>();
  for (let left = n; left > 0; left -= 16) {
    fourBlocks(group++ << 2, 0, scratch);
    const bytes = <usize>left * sizeof<T>();
    if (left < 16) memory.copy(tail, x, bytes);
    const from = left < 16 ? tail : x;
    const to = left < 16 ? tail : y;
    choice.ofFour<T>(to, from, word0, least, k0, k1, k2);
    choice.ofFour<T>(to + four, from + four, word1, least, k0, k1, k2);
    choice.ofFour<T>(to + 2 * four, from + 2 * four, word2, least, k0, k1, k2);
    choice.ofFour<T>(to + 3 * four, from + 3 * four, word3, least, k0, k1, k2);
    if (left < 16) memory.copy(y, tail, bytes);
    x += 4 * four;
    y += 4 * four;
  }
}

/**
 * Coefficients of series, highest power first: of even powers of z, then of odd ones. They are loaded, as the table is:
 * in code they would be put together anew for each block.
 */
const LOGARITHM: usize = memory.data<f64>([
  2.0 / 19,
  2.0 / 15,
  2.0 / 11,
  2.0 / 7,
  2.0 / 3,
  2.0 / 21,
  2.0 / 17,
  2.0 / 13,
  2.0 / 9,
  2.0 / 5,
]);
const COSINE: usize = memory.data<f64>([
  -1 / 87178291200.0,
  -1 / 3628800.0,
  -1 / 720.0,
  -1 / 2.0,
  1 / 20922789888000.0,
  1 / 479001600.0,
  1 / 40320.0,
  1 / 24.0,
]);
const SINE: usize = memory.data<f64>([
  -1 / 1307674368000.0,
  -1 / 39916800.0,
  -1 / 5040.0,
  -1 / 6.0,
  1 / 355687428096000.0,
  1 / 6227020800.0,
  1 / 362880.0,
  1 / 120.0,
]);

abstract class pair {
  /** Four coefficients in powers of z. */
  @inline
  static four(z: v128, at: usize): v128 {
    let q = v.mulAdd<f64>(v.loadSplat<f64>(at), z, v.loadSplat<f64>(at + 8));
    q = v.mulAdd<f64>(q, z, v.loadSplat<f64>(at + 16));
    return v.mulAdd<f64>(q, z, v.loadSplat<f64>(at + 24));
  }

  /** ln of normal positive f64: their exponent and 2·artanh of (m − 1)/(m + 1), m in [√½, √2). */
  @inline
  static logarithm(x: v128): v128 {
    const m = v.mantissa(x);
    const k = v.exponent(x);
    const one = v.splat<f64>(1);
    const s = v.div<f64>(v.sub<f64>(m, one), v.add<f64>(m, one));
    const z = v.mul<f64>(s, s);
    const z2 = v.mul<f64>(z, z);
    const even = v.mulAdd<f64>(pair.four(z2, LOGARITHM), z2, v.loadSplat<f64>(LOGARITHM + 32));
    const odd = v.mulAdd<f64>(pair.four(z2, LOGARITHM + 40), z2, v.loadSplat<f64>(LOGARITHM + 72));
    const q = v.mulAdd<f64>(odd, z, even);
    const small = v.mulAdd<f64>(v.mul<f64>(s, z), q, v.mul<f64>(k, v.splat<f64>(1.9082149292705877e-10)));
    return v.mulAdd<f64>(k, v.splat<f64>(0.6931471803691238), v.add<f64>(v.add<f64>(s, s), small));
  }

  /** Taylor's series of cos t, z = t², |t| ≤ π/4. */
  @inline
  static cosine(z: v128, z2: v128): v128 {
    const q = v.mulAdd<f64>(pair.four(z2, COSINE + 32), z, pair.four(z2, COSINE));
    return v.mulAdd<f64>(q, z, v.splat<f64>(1));
  }

  /** Taylor's series of sin t. */
  @inline
  static sine(t: v128, z: v128, z2: v128): v128 {
    const q = v.mulAdd<f64>(pair.four(z2, SINE + 32), z, pair.four(z2, SINE));
    return v.mulAdd<f64>(v.mul<f64>(q, z), t, t);
  }

  /** (a·2²⁶ + b + ½)/2⁵³ from 27 bits of one word and 26 of another, the first two of each vector: never 0. */
  @inline
  static uniform(a: v128, b: v128): v128 {
    const high = v.mul<f64>(v.toFloat64(v.shiftRight32(a, 5)), v.splat<f64>(67108864));
    const whole = v.add<f64>(high, v.toFloat64(v.shiftRight32(b, 6)));
    return v.mul<f64>(v.add<f64>(whole, v.splat<f64>(0.5)), v.splat<f64>(1 / 9007199254740992.0));
  }

  /** Four normal numbers of the first two blocks in a, b, c and d. */
  @inline
  static normal<T>(to: usize, a: v128, b: v128, c: v128, d: v128, mean: v128, deviation: v128): void {
    const squared = v.mul<f64>(v.splat<f64>(-2), pair.logarithm(pair.uniform(a, b)));
    const radius = v.mul<f64>(v.sqrt<f64>(squared), deviation);
    // cos and sin of 2πw: a quarter turn, and the series for what is left.
    const w = pair.uniform(c, d);
    const quarter = v.nearest<f64>(v.mul<f64>(w, v.splat<f64>(4)));
    const left = v.sub<f64>(w, v.mul<f64>(quarter, v.splat<f64>(0.25)));
    const t = v.mul<f64>(left, v.splat<f64>(6.283185307179586));
    const z = v.mul<f64>(t, t);
    const z2 = v.mul<f64>(z, z);
    const cosine = pair.cosine(z, z2);
    const sine = pair.sine(t, z, z2);
    const first = v.equal<f64>(quarter, v.splat<f64>(1));
    const second = v.equal<f64>(quarter, v.splat<f64>(2));
    const third = v.equal<f64>(quarter, v.splat<f64>(3));
    const odd = v.or(first, third);
    const minus = v.splat<f64>(-0.0);
    const across = v.xor(v.select(sine, cosine, odd), v.and(v.or(first, second), minus));
    const along = v.xor(v.select(cosine, sine, odd), v.and(v.or(second, third), minus));
    const x = v.mulAdd<f64>(radius, across, mean);
    const y = v.mulAdd<f64>(radius, along, mean);
    v.storeAs<T, f64>(to, v.lowHalves(x, y), 0);
    v.storeAs<T, f64>(to + 2 * sizeof<T>(), v.highHalves(x, y), 0);
  }
}

/** The last elements, that make no eight, pass through scratch. */
export function rowNormal<T>(
  out: usize,
  n: i32,
  group: i32,
  mean: f64,
  deviation: f64,
  stream: f64,
  seedLow: i32,
  seedHigh: i32,
  scratch: usize,
): void {
  writeTable(scratch, stream, seedLow, seedHigh);
  const tail = scratch + TABLE_BYTES;
  const k0 = v.splat<f64>(mean);
  const k1 = v.splat<f64>(deviation);
  fourBlocks(group << 2, 1, scratch);
  for (let left = n; left > 0; left -= 8) {
    // The words of the next eight come first: nothing waits for them, so that the processor works on both.
    const a = word0;
    const b = word1;
    const c = word2;
    const d = word3;
    fourBlocks(++group << 2, 1, scratch);
    const to = left < 8 ? tail : out;
    pair.normal<T>(to, a, b, c, d, k0, k1);
    pair.normal<T>(
      to + 4 * sizeof<T>(),
      v.highHalves(a, a),
      v.highHalves(b, b),
      v.highHalves(c, c),
      v.highHalves(d, d),
      k0,
      k1,
    );
    if (left < 8) memory.copy(out, tail, <usize>left * sizeof<T>());
    out += 8 * sizeof<T>();
  }
}

export function eachChoose<T>(y: usize, x: usize, mask: usize, n: i32, scale: T, shift: T, other: T): void {
  const k0 = v.splat<T>(scale);
  const k1 = v.splat<T>(shift);
  const k2 = v.splat<T>(other);
  const end = y + v.wholeBytes<T>(n);
  for (; y < end; y += 16, x += 16, mask += v.lanes<T>()) {
    v.store(y, v.select(v.oneNaN<T>(v.mulAdd<T>(k0, v.load(x), k1)), k2, v.loadMask<T>(mask)));
  }
  const rest = n & (v.lanes<T>() - 1);
  if (rest) v.storeHead<T>(y, v.select(v.oneNaN<T>(v.mulAdd<T>(k0, v.load(x), k1)), k2, v.loadMask<T>(mask)), rest);
}
