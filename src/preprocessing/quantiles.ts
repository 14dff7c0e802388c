/**
 * Quantiles, with linear interpolation between neighbours (numpy's default): exact ones of an array, and those of a
 * stream in bounded memory.
 */

import quickselect from "quickselect";
import { log } from "../core/special.js";

/** Where a quantile lies among n sorted values: between place `at` and the next, `share` of the way. */
function placeOf(fraction: number, n: number): { at: number; share: number } {
  const place = fraction * (n - 1);
  const at = Math.min(Math.floor(place), Math.max(n - 2, 0));
  return { at, share: place - at };
}

function between(low: number, high: number, share: number): number {
  // From the nearer end, so that a share of 1 gives `high` to the last bit.
  return share < 0.5 ? low + (high - low) * share : high - (high - low) * (1 - share);
}

/** The values at ascending places of the sorted order, by selection; reorders them. */
function select(values: Float64Array, places: readonly number[]): number[] {
  // Places before `done` are smaller than those after, and those selected are in order.
  let done = 0;
  return places.map((place) => {
    if (place >= done) quickselect(values as unknown as number[], place, done);
    done = Math.max(done, place + 1);
    return values[place];
  });
}

/** Bins by the upper 16 bits of a number: its sign, its exponent, and 4 bits of what follows. */
const BINS = 1 << 16;
const NEGATIVE = BINS >> 1;
/** Values from which on it is worth while to count them by bins. */
const MANY = 4096;

/**
 * `select` for many values: they are counted by bins, so that selection is left with those that share the bin of a place,
 * some hundredths as a rule.
 */
function selectOfMany(values: Float64Array, places: readonly number[]): number[] {
  // The second word of a number is the upper one in the byte order of WebAssembly, where it runs.
  const words = new Uint32Array(values.buffer, values.byteOffset, 2 * values.length);
  const counts = new Uint32Array(BINS);
  for (let i = 1; i < words.length; i += 2) counts[words[i] >>> 16]++;

  // In the order of the values: negative ones by falling bits, then the others by rising ones.
  const found: Array<{ bin: number; places: number[] }> = [];
  let [seen, next] = [0, 0];
  for (let i = 0; next < places.length; i++) {
    const bin = i < NEGATIVE ? BINS - 1 - i : i - NEGATIVE;
    const end = seen + counts[bin];
    if (places[next] < end) {
      const first = next;
      while (next < places.length && places[next] < end) next++;
      const start = seen;
      found.push({ bin, places: places.slice(first, next).map((place) => place - start) });
    }
    seen = end;
  }

  const listOf = new Uint8Array(BINS);
  const lists = found.map(({ bin }, i) => {
    listOf[bin] = i + 1;
    return new Float64Array(counts[bin]);
  });
  const lengths = new Uint32Array(lists.length);
  for (let i = 0; i < values.length; i++) {
    const list = listOf[words[2 * i + 1] >>> 16];
    if (list > 0) lists[list - 1][lengths[list - 1]++] = values[i];
  }
  return found.flatMap(({ places: inBin }, i) => select(lists[i], inBin));
}

/** Quantiles at ascending fractions; reorders the values, none of them NaN. NaN where there are none. */
export function quantilesOf(values: Float64Array, fractions: readonly number[]): number[] {
  const n = values.length;
  if (n === 0) return fractions.map(() => NaN);
  const places = fractions.map((fraction) => placeOf(fraction, n));
  const neighbours = places.flatMap(({ at }) => [at, Math.min(at + 1, n - 1)]);
  const ascending = [...new Set(neighbours)].sort((a, b) => a - b);
  const found = n < MANY ? select(values, ascending) : selectOfMany(values, ascending);
  const valueAt = (place: number) => found[ascending.indexOf(place)];
  return places.map(({ at, share }) => between(valueAt(at), valueAt(Math.min(at + 1, n - 1)), share));
}

/** Values of a level beyond which it is thinned. */
const CAPACITY = 2048;

/**
 * A sketch of n values. Level l holds values that stand for 2^l values each. A level of more than 2048 is sorted, and
 * every other value moves up, the odd and the even ones by turns.
 *
 * Each thinning of level l moves a rank by 2^l at the most, and takes 2048 values or more, so that a rank is off by no
 * more than n·⌈log₂(n/2048)⌉/2048; nothing is lost of up to 2048 values. The bound is the same for any order of parts.
 * The values are values of the data: nothing is rounded, nothing drawn by lot.
 *
 * Source: G. S. Manku, S. Rajagopalan, B. G. Lindsay, "Approximate Medians and other Quantiles in One Pass and with
 * Limited Memory", 1998.
 */
export class QuantileSketch {
  readonly levels: readonly Float64Array[];
  /** Whether the next thinning of each level takes the odd values. */
  readonly turns: readonly boolean[];

  private constructor(levels: readonly Float64Array[], turns: readonly boolean[]) {
    this.levels = levels;
    this.turns = turns;
  }

  static of(values: Float64Array): QuantileSketch {
    return thinned([values.slice()], [false]);
  }

  /** The sketch of which `levels` and `turns` were kept. */
  static from(levels: readonly Float64Array[], turns: readonly boolean[]): QuantileSketch {
    return new QuantileSketch(levels, turns);
  }

  /** A sketch of the values of both. */
  joined(other: QuantileSketch): QuantileSketch {
    const levels: Float64Array[] = [];
    const turns: boolean[] = [];
    for (let l = 0; l < Math.max(this.levels.length, other.levels.length); l++) {
      levels.push(concatenated(this.levels[l], other.levels[l]));
      turns.push((this.turns[l] ?? false) !== (other.turns[l] ?? false));
    }
    return thinned(levels, turns);
  }

  /** Quantiles at any fractions; NaN where there are no values. */
  quantiles(fractions: readonly number[]): number[] {
    const values = this.levels.reduce((all, level) => concatenated(all, level));
    const weights = new Float64Array(values.length);
    let from = 0;
    for (const [l, level] of this.levels.entries()) {
      weights.fill(2 ** l, from, from + level.length);
      from += level.length;
    }
    const order = Uint32Array.from(values.keys()).sort((a, b) => values[a] - values[b]);
    // ends[i]: how many values the first i + 1 stand for.
    const ends = new Float64Array(order.length);
    let n = 0;
    order.forEach((index, i) => {
      n += weights[index];
      ends[i] = n;
    });
    const valueAt = (place: number) => values[order[ends.findIndex((end) => end > place)]];
    return fractions.map((fraction) => {
      if (n === 0) return NaN;
      const { at, share } = placeOf(fraction, n);
      return between(valueAt(at), valueAt(Math.min(at + 1, n - 1)), share);
    });
  }
}

function concatenated(a: Float64Array | undefined, b: Float64Array | undefined): Float64Array {
  if (a === undefined || b === undefined) return a ?? b ?? new Float64Array(0);
  const both = new Float64Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}

function thinned(given: readonly Float64Array[], givenTurns: readonly boolean[]): QuantileSketch {
  const levels = [...given];
  const turns = [...givenTurns];
  for (let l = 0; l < levels.length; l++) {
    if (levels[l].length <= CAPACITY) continue;
    const sorted = levels[l].slice().sort();
    const pairs = sorted.length >> 1;
    const skip = turns[l] ? 1 : 0;
    const moved = Float64Array.from({ length: pairs }, (_, i) => sorted[2 * i + skip]);
    levels[l] = sorted.slice(2 * pairs);
    turns[l] = !turns[l];
    levels[l + 1] = concatenated(levels[l + 1], moved);
    turns[l + 1] ??= false;
  }
  return QuantileSketch.from(levels, turns);
}

/** Coefficients of the highest power first. */
function polynomial(x: number, ...coefficients: number[]): number {
  return coefficients.reduce((sum, coefficient) => sum * x + coefficient, 0);
}

/**
 * The quantile of the standard normal distribution, to about 1e-16 relative.
 *
 * Source: M. J. Wichura, "Algorithm AS 241: The Percentage Points of the Normal Distribution", 1988, PPND16.
 */
export function normalQuantile(p: number): number {
  const q = p - 0.5;
  if (Math.abs(q) <= 0.425) {
    const r = 0.180625 - q * q;
    return (
      (q *
        polynomial(
          r,
          2509.0809287301227,
          33430.57558358813,
          67265.7709270087,
          45921.95393154987,
          13731.69376550946,
          1971.5909503065513,
          133.14166789178438,
          3.3871328727963665,
        )) /
      polynomial(
        r,
        5226.495278852546,
        28729.085735721943,
        39307.89580009271,
        21213.794301586597,
        5394.196021424751,
        687.1870074920579,
        42.31333070160091,
        1,
      )
    );
  }
  const t = Math.sqrt(-log(Math.min(p, 1 - p)));
  const size =
    t <= 5
      ? polynomial(
          t - 1.6,
          0.0007745450142783414,
          0.022723844989269184,
          0.2417807251774506,
          1.2704582524523684,
          3.6478483247632045,
          5.769497221460691,
          4.630337846156546,
          1.4234371107496835,
        ) /
        polynomial(
          t - 1.6,
          1.0507500716444169e-9,
          0.0005475938084995345,
          0.015198666563616457,
          0.14810397642748008,
          0.6897673349851,
          1.6763848301838038,
          2.053191626637759,
          1,
        )
      : polynomial(
          t - 5,
          2.0103343992922881e-7,
          2.7115555687434876e-5,
          0.0012426609473880784,
          0.026532189526576124,
          0.29656057182850487,
          1.7848265399172913,
          5.463784911164114,
          6.657904643501103,
        ) /
        polynomial(
          t - 5,
          2.0442631033899397e-15,
          1.421511758316446e-7,
          1.8463183175100548e-5,
          0.0007868691311456133,
          0.014875361290850615,
          0.1369298809227358,
          0.599832206555888,
          1,
        );
  return q < 0 ? -size : size;
}
