/**
 * Random numbers by counter: number e of stream s under a seed is a function of (seed, s, e) alone, so that any part
 * can be made again, in any order, with the same bits everywhere.
 *
 * Formula: Philox4x32 with ten rounds on the counter (block, kind, stream) under the 64-bit seed gives four words a
 *   block; kind is 0 for eachKeep, 1 for rowNormal. eachKeep: y = scale·x + shift where the element's word is at least
 *   `threshold`, else `other`; element e = 16·q + 4·j + i has word j of block 4·q + i. rowNormal: two words make a uniform number of
 *   53 bits, a block two of them, u and w, and those two normal numbers √(−2·ln u)·cos 2πw and √(−2·ln u)·sin 2πw (Box
 *   and Muller).
 * Shapes: eachKeep x and y [n], elements from 16·group on, y may be x. rowNormal out [n] from element 8·group
 *   on. scratch: randomScratchBytes.
 * Error: eachKeep two roundings; ln, sin and cos to 2 ulps in f64, rounded to T once.
 * Source: J. K. Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", 2011; G. E. P. Box, M. E. Muller, 1958.
 */
import { v } from "./vec";

/** Words of the last four blocks: lane i of word j is word j of block i. */
let word0: v128 = i32x4.splat(0);
let word1: v128 = i32x4.splat(0);
let word2: v128 = i32x4.splat(0);
let word3: v128 = i32x4.splat(0);

/** Bytes of a table: both keys of each round, both factors, both words of the stream, each in all lanes. */
const TABLE_BYTES: usize = 24 * 16;
const ROUNDS_BYTES: usize = 10 * 32;

/**
 * What all blocks of a stream have in common. It is loaded for each, factors too: constants the compiler would put together
 * from words anew in each round, which takes as long as the round.
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
      v.store(y, v.select(v.mulAdd<T>(scale, v.load(x), shift), other, kept));
      return;
    }
    v.store(y, v.select(v.mulAdd<T>(scale, v.load(x), shift), other, v.zipLow32(kept, kept)));
    v.store(y + 16, v.select(v.mulAdd<T>(scale, v.load(x + 16), shift), other, v.zipHigh32(kept, kept)));
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

/** ln of a normal positive number: its exponent and 2·artanh of (m − 1)/(m + 1), m in [√½, √2). */
function logarithm(x: f64): f64 {
  const bits = reinterpret<u64>(x);
  let exponent = <i32>(bits >> 52) - 1023;
  let m = reinterpret<f64>((bits & 0x000fffffffffffff) | 0x3ff0000000000000);
  if (m > 1.4142135623730951) {
    m *= 0.5;
    exponent++;
  }
  const s = (m - 1) / (m + 1);
  const z = s * s;
  let q: f64 = 2.0 / 21;
  for (let i = 19; i >= 3; i -= 2) q = q * z + 2.0 / <f64>i;
  const k = <f64>exponent;
  return k * 0.6931471803691238 + (2 * s + (s * z * q + k * 1.9082149292705877e-10));
}

/** cos and sin of 2πw for w in [0, 1): a quarter turn, and Taylor's series for what is left, at most π/4. */
let sine: f64 = 0;
function cosine(w: f64): f64 {
  const quarter = nearest<f64>(w * 4);
  const t = (w - quarter * 0.25) * 6.283185307179586;
  const z = t * t;
  let c: f64 = 1;
  let s: f64 = 1;
  for (let i = 16; i >= 2; i -= 2) {
    c = 1 - (c * z) / <f64>(i * (i - 1));
    s = 1 - (s * z) / <f64>(i * (i + 1));
  }
  s *= t;
  const turn = <i32>quarter & 3;
  const flipped = turn == 1 ? -s : turn == 2 ? -c : turn == 3 ? s : c;
  sine = turn == 1 ? c : turn == 2 ? -s : turn == 3 ? -c : s;
  return flipped;
}

/** (a·2²⁶ + b + ½)/2⁵³ from 27 bits of one word and 26 of another: never 0. */
function uniform(a: u32, b: u32): f64 {
  return (<f64>(a >> 5) * 67108864.0 + <f64>(b >> 6) + 0.5) / 9007199254740992.0;
}

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
  const words = scratch + TABLE_BYTES;
  for (let done = 0; done < n; done += 8) {
    fourBlocks(group << 2, 1, scratch);
    group++;
    v.store(words, word0);
    v.store(words + 16, word1);
    v.store(words + 32, word2);
    v.store(words + 48, word3);
    for (let i = 0; i < 8 && done + i < n; i += 2) {
      const at = words + ((<usize>i) << 1);
      const radius = sqrt<f64>(-2 * logarithm(uniform(load<u32>(at), load<u32>(at + 16)))) * deviation;
      const across = cosine(uniform(load<u32>(at + 32), load<u32>(at + 48)));
      const to = out + <usize>(done + i) * sizeof<T>();
      store<T>(to, <T>(mean + radius * across));
      if (done + i + 1 < n) store<T>(to + sizeof<T>(), <T>(mean + radius * sine));
    }
  }
}
