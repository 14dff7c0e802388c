/**
 * The SIMD vocabulary: every 128-bit intrinsic that the kernels need is spelled here once, for f32 and f64 alike.
 *
 * Pointers are byte addresses, counts are elements. A load may read up to 15 bytes past the last element of an array
 * (the allocator leaves that room behind every block); a store never writes past it.
 */
export abstract class v {
  /** Elements a vector holds: 4 for f32, 2 for f64. */
  @inline
  static lanes<T>(): i32 {
    return 16 / sizeof<T>();
  }

  /** Bytes that the whole vectors of an array of n elements span. */
  @inline
  static wholeBytes<T>(n: i32): usize {
    return (<usize>n * sizeof<T>()) & ~15;
  }

  @inline
  static load(at: usize): v128 {
    return v128.load(at);
  }

  @inline
  static store(at: usize, v: v128): void {
    v128.store(at, v);
  }

  @inline
  static zero(): v128 {
    return i32x4.splat(0);
  }

  @inline
  static splat<T>(a: T): v128 {
    return v128.splat<T>(a);
  }

  /** One element at `at`, in every lane. */
  @inline
  static loadSplat<T>(at: usize): v128 {
    return sizeof<T>() == 4 ? v128.load32_splat(at) : v128.load64_splat(at);
  }

  /** The elements at four addresses, or at the first two for f64. */
  @inline
  static gather<T>(at0: usize, at1: usize, at2: usize, at3: usize): v128 {
    if (sizeof<T>() == 8) return v128.load64_lane(at1, v128.load64_zero(at0), 1);
    return v128.load32_lane(at3, v128.load32_lane(at2, v128.load32_lane(at1, v128.load32_zero(at0), 1), 2), 3);
  }

  /** Elements first, first + 1, ... of the n at `at`, beginning anew after the last. */
  @inline
  static loadCycle<T>(at: usize, first: i32, n: i32): v128 {
    let a: v128 = i32x4.splat(0);
    if (sizeof<T>() == 8) {
      a = v128.load64_lane(at + ((<usize>(first % n)) << 3), a, 0);
      return v128.load64_lane(at + ((<usize>((first + 1) % n)) << 3), a, 1);
    }
    a = v128.load32_lane(at + ((<usize>(first % n)) << 2), a, 0);
    a = v128.load32_lane(at + ((<usize>((first + 1) % n)) << 2), a, 1);
    a = v128.load32_lane(at + ((<usize>((first + 2) % n)) << 2), a, 2);
    return v128.load32_lane(at + ((<usize>((first + 3) % n)) << 2), a, 3);
  }

  /** All bits set in lanes that are NaN. */
  @inline
  static isNaN<T>(a: v128): v128 {
    return v128.ne<T>(a, a);
  }

  /** A number, or the NaN that `oneNaN` gives. */
  @inline
  static oneNaNOf<T>(a: T): T {
    return a == a ? a : <T>NaN;
  }

  /** Every NaN with the bits of JavaScript's own: those that arithmetic gives it differ between processors and engines. */
  @inline
  static oneNaN<T>(a: v128): v128 {
    return v128.bitselect(a, v128.splat<T>(<T>NaN), v128.eq<T>(a, a));
  }

  @inline
  static add<T>(a: v128, b: v128): v128 {
    return v128.add<T>(a, b);
  }

  @inline
  static sub<T>(a: v128, b: v128): v128 {
    return v128.sub<T>(a, b);
  }

  @inline
  static mul<T>(a: v128, b: v128): v128 {
    return v128.mul<T>(a, b);
  }

  @inline
  static div<T>(a: v128, b: v128): v128 {
    return v128.div<T>(a, b);
  }

  /** a·b + c, rounded after each operation: the fused form does not give the same bits on every machine. */
  @inline
  static mulAdd<T>(a: v128, b: v128, c: v128): v128 {
    return v128.add<T>(v128.mul<T>(a, b), c);
  }

  @inline
  static abs<T>(a: v128): v128 {
    return v128.abs<T>(a);
  }

  /** 1 for numbers above 0, −1 for those below, else 0 (NaN too). */
  @inline
  static sign<T>(a: v128): v128 {
    const one = v128.splat<T>(1);
    const zero = i32x4.splat(0);
    return v128.sub<T>(v128.and(v128.gt<T>(a, zero), one), v128.and(v128.lt<T>(a, zero), one));
  }

  /** The smaller of each pair of lanes; NaN where either is NaN. */
  @inline
  static min<T>(a: v128, b: v128): v128 {
    return v128.min<T>(a, b);
  }

  /** The larger of each pair of lanes; NaN where either is NaN. */
  @inline
  static max<T>(a: v128, b: v128): v128 {
    return v128.max<T>(a, b);
  }

  /** `b` where it is less than `a`, else `a`: a NaN in `b` is passed over. */
  @inline
  static minPassingNaN<T>(a: v128, b: v128): v128 {
    return v128.pmin<T>(a, b);
  }

  /** `b` where it is greater than `a`, else `a`: a NaN in `b` is passed over. */
  @inline
  static maxPassingNaN<T>(a: v128, b: v128): v128 {
    return v128.pmax<T>(a, b);
  }

  /** All ones in the lanes that hold a number, zeros in those that hold NaN. */
  @inline
  static isNumber<T>(a: v128): v128 {
    return v128.eq<T>(a, a);
  }

  @inline
  static and(a: v128, b: v128): v128 {
    return v128.and(a, b);
  }

  /** The bits of `a` where `mask` is set, of `b` elsewhere. */
  @inline
  static select(a: v128, b: v128, mask: v128): v128 {
    return v128.bitselect(a, b, mask);
  }

  @inline
  static sqrt<T>(a: v128): v128 {
    return v128.sqrt<T>(a);
  }

  /** The whole number nearest each lane, ties to even. */
  @inline
  static nearest<T>(a: v128): v128 {
    return v128.nearest<T>(a);
  }

  /** All ones where a < b. */
  @inline
  static less<T>(a: v128, b: v128): v128 {
    return v128.lt<T>(a, b);
  }

  /**
   * A whole number plus this has its low bits as they stand in an exponent: adding a number of any kind rounds it to a
   * whole one, ties to even, and costs less than a rounding and a conversion.
   */
  @inline
  static exponentBias<T>(): v128 {
    return v128.splat<T>(sizeof<T>() == 4 ? <T>(12582912 + 127) : <T>(6755399441055744 + 1023));
  }

  /** 2^n from n + v.exponentBias, n in the range of normal exponents; 0 for NaN. */
  @inline
  static biasedPowerOfTwo<T>(a: v128): v128 {
    return sizeof<T>() == 4 ? i32x4.shl(a, 23) : i64x2.shl(a, 52);
  }

  /** 2 to the power of each lane, a whole number in the range of normal exponents; 0 for NaN. */
  @inline
  static powerOfTwo<T>(n: v128): v128 {
    return v.biasedPowerOfTwo<T>(v128.add<T>(n, v.exponentBias<T>()));
  }

  @inline
  static xor(a: v128, b: v128): v128 {
    return v128.xor(a, b);
  }

  /** A 32-bit word in every lane. */
  @inline
  static splat32(a: i32): v128 {
    return i32x4.splat(a);
  }

  /** The numbers of the four 32-bit lanes. */
  @inline
  static lanes32(): v128 {
    return i32x4(0, 1, 2, 3);
  }

  @inline
  static add32(a: v128, b: v128): v128 {
    return i32x4.add(a, b);
  }

  /** The 64-bit products of the first two unsigned 32-bit words. */
  @inline
  static productsLow32(a: v128, b: v128): v128 {
    return i64x2.extmul_low_i32x4_u(a, b);
  }

  /** The 64-bit products of the last two unsigned 32-bit words. */
  @inline
  static productsHigh32(a: v128, b: v128): v128 {
    return i64x2.extmul_high_i32x4_u(a, b);
  }

  /** 32-bit lanes 0 and 2 of a, then of b. */
  @inline
  static even32(a: v128, b: v128): v128 {
    return v128.shuffle<i32>(a, b, 0, 2, 4, 6);
  }

  /** 32-bit lanes 1 and 3 of a, then of b. */
  @inline
  static odd32(a: v128, b: v128): v128 {
    return v128.shuffle<i32>(a, b, 1, 3, 5, 7);
  }

  /** All ones in the lanes where a ≥ b as unsigned 32-bit words, else 0. */
  @inline
  static atLeast32(a: v128, b: v128): v128 {
    return i32x4.ge_u(a, b);
  }

  @inline
  static or(a: v128, b: v128): v128 {
    return v128.or(a, b);
  }

  /** 32-bit words moved up by n bits. */
  @inline
  static shiftLeft32(a: v128, n: i32): v128 {
    return i32x4.shl(a, n);
  }

  /** 32-bit words moved down by n bits, zeros above. */
  @inline
  static shiftRight32(a: v128, n: i32): v128 {
    return i32x4.shr_u(a, n);
  }

  /** The first two 32-bit whole numbers as f64. */
  @inline
  static toFloat64(a: v128): v128 {
    return f64x2.convert_low_i32x4_s(a);
  }

  /** 32-bit whole numbers as f32. */
  @inline
  static toFloat32(a: v128): v128 {
    return f32x4.convert_i32x4_s(a);
  }

  /** Four bytes at `at` as f32. */
  @inline
  static loadBytes(at: usize): v128 {
    return f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(v128.load32_zero(at))));
  }

  /** The bytes of `a` that the constant `picks` names by number; 0 where it names none. */
  @inline
  static pickBytes(a: v128, picks: v128): v128 {
    return i8x16.swizzle(a, picks);
  }

  /** The first two 32-bit lanes of a and b in turns: a0 b0 a1 b1. */
  @inline
  static zipLow32(a: v128, b: v128): v128 {
    return v128.shuffle<i32>(a, b, 0, 4, 1, 5);
  }

  /** The last two 32-bit lanes of a and b in turns: a2 b2 a3 b3. */
  @inline
  static zipHigh32(a: v128, b: v128): v128 {
    return v128.shuffle<i32>(a, b, 2, 6, 3, 7);
  }

  /** The lower half of a, then that of b. */
  @inline
  static lowHalves(a: v128, b: v128): v128 {
    return v128.shuffle<i64>(a, b, 0, 2);
  }

  /** The upper half of a, then that of b. */
  @inline
  static highHalves(a: v128, b: v128): v128 {
    return v128.shuffle<i64>(a, b, 1, 3);
  }

  /** Stores the first n bytes, n < 16. */
  @inline
  static storeBytes(at: usize, a: v128, n: i32): void {
    if (n & 8) {
      v128.store64_lane(at, a, 0);
      a = v.highHalves(a, a);
      at += 8;
    }
    if (n & 4) {
      v128.store32_lane(at, a, 0);
      a = i64x2.shr_u(a, 32);
      at += 4;
    }
    if (n & 2) {
      v128.store16_lane(at, a, 0);
      a = i64x2.shr_u(a, 16);
      at += 2;
    }
    if (n & 1) v128.store8_lane(at, a, 0);
  }

  /** The lanes of four vectors of small 32-bit words as sixteen bytes, in order. */
  @inline
  static narrow32(a: v128, b: v128, c: v128, d: v128): v128 {
    return i8x16.narrow_i16x8_u(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(c, d));
  }

  /** All ones in the lanes whose byte at `at` is not 0, zeros in the others. */
  @inline
  static loadMask<T>(at: usize): v128 {
    const zero = i32x4.splat(0);
    if (sizeof<T>() == 8) {
      const halves = i16x8.extend_low_i8x16_u(v128.load16_lane(at, zero, 0));
      return i64x2.ne(i64x2.extend_low_i32x4_u(i32x4.extend_low_i16x8_u(halves)), zero);
    }
    const words = i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(v128.load32_zero(at)));
    return i32x4.ne(words, zero);
  }

  /** Lanes 0 and 1 of an f32 vector as f64. */
  @inline
  static widenLow(a: v128): v128 {
    return f64x2.promote_low_f32x4(a);
  }

  /** Lanes 2 and 3 of an f32 vector as f64. */
  @inline
  static widenHigh(a: v128): v128 {
    return f64x2.promote_low_f32x4(v128.shuffle<u64>(a, a, 1, 1));
  }

  /** Lanes 0 and 1 as f64. */
  @inline
  static lowAs64<T>(a: v128): v128 {
    return sizeof<T>() == 8 ? a : f64x2.promote_low_f32x4(a);
  }

  /** Two f64 vectors rounded to one of f32. */
  @inline
  static narrow(low: v128, high: v128): v128 {
    return v128.shuffle<u64>(f32x4.demote_f64x2_zero(low), f32x4.demote_f64x2_zero(high), 0, 2);
  }

  /** All ones where a equals b. */
  @inline
  static equal<T>(a: v128, b: v128): v128 {
    return v128.eq<T>(a, b);
  }

  /** k of x = m·2^k with m from √½ to √2, for positive normal f64: its bits become the low ones of 2^52 + 1023 + k. */
  @inline
  static exponent(x: v128): v128 {
    const biased = i64x2.sub(x, i64x2.splat(0x3fe6a09e667f3bcd - 0x3ff0000000000000));
    const whole = v128.or(i64x2.shr_u(biased, 52), i64x2.splat(0x4330000000000000));
    return f64x2.sub(whole, f64x2.splat(4503599627370496 + 1023));
  }

  /** m of x = m·2^k. */
  @inline
  static mantissa(x: v128): v128 {
    const least = i64x2.splat(0x3fe6a09e667f3bcd);
    return i64x2.add(v128.and(i64x2.sub(x, least), i64x2.splat(0xfffffffffffff)), least);
  }

  @inline
  static not(a: v128): v128 {
    return v128.not(a);
  }

  /** Whether no 32-bit lane is 0. */
  @inline
  static allTrue32(a: v128): bool {
    return i32x4.all_true(a);
  }

  @inline
  static anyTrue(a: v128): bool {
    return v128.any_true(a);
  }

  /** Lane 0 of an f64 vector. */
  @inline
  static lane0(v: v128): f64 {
    return f64x2.extract_lane(v, 0);
  }

  /** Loads as many elements of type T as a vector of type A holds, and widens them where A is the wider. */
  @inline
  static loadAs<T, A>(at: usize): v128 {
    return sizeof<T>() == sizeof<A>() ? v128.load(at) : f64x2.promote_low_f32x4(v128.load64_zero(at));
  }

  /** Stores the lanes of an f64 vector as two elements of type T, rounded where T is the narrower. */
  @inline
  static storeNarrow<T>(at: usize, v: v128): void {
    if (sizeof<T>() == 8) v128.store(at, v);
    else v128.store64_lane(at, f32x4.demote_f64x2_zero(v), 0);
  }

  /** Stores the lanes of an A vector as elements of type T, rounded where T is the narrower: all, or the first n of n > 0. */
  @inline
  static storeAs<T, A>(at: usize, a: v128, n: i32): void {
    if (n) v.storeHead<T>(at, sizeof<T>() == sizeof<A>() ? a : v.narrow(a, a), n);
    else if (sizeof<T>() == sizeof<A>()) v128.store(at, a);
    else v.storeNarrow<T>(at, a);
  }

  /** Sums the lanes of a vector in f64, in fixed order: (0 + 1) + (2 + 3). */
  @inline
  static sumLanes<T>(v: v128): f64 {
    if (sizeof<T>() == 8) return f64x2.extract_lane(v, 0) + f64x2.extract_lane(v, 1);
    return (
      <f64>f32x4.extract_lane(v, 0) +
      <f64>f32x4.extract_lane(v, 1) +
      (<f64>f32x4.extract_lane(v, 2) + <f64>f32x4.extract_lane(v, 3))
    );
  }

  /** The greatest lane; NaN if any is NaN. */
  @inline
  static maxLane<T>(v: v128): T {
    if (sizeof<T>() == 8) return <T>f64.max(f64x2.extract_lane(v, 0), f64x2.extract_lane(v, 1));
    return <T>(
      f32.max(
        f32.max(f32x4.extract_lane(v, 0), f32x4.extract_lane(v, 1)),
        f32.max(f32x4.extract_lane(v, 2), f32x4.extract_lane(v, 3)),
      )
    );
  }

  /** Loads the first n elements (fewer than a vector holds); the other lanes are taken from `fill`. */
  @inline
  static loadHead<T>(at: usize, n: i32, fill: v128): v128 {
    return v128.bitselect(v128.load(at), fill, v.headMask<T>(n));
  }

  /** Stores the first n lanes (fewer than a vector holds). */
  @inline
  static storeHead<T>(at: usize, v: v128, n: i32): void {
    if (sizeof<T>() == 8) {
      v128.store64_lane(at, v, 0);
      return;
    }
    if (n & 2) {
      v128.store64_lane(at, v, 0);
      if (n & 1) v128.store32_lane(at + 8, v, 2);
    } else {
      v128.store32_lane(at, v, 0);
    }
  }

  /** All ones in the first n lanes. */
  @inline
  static headMask<T>(n: i32): v128 {
    if (sizeof<T>() == 8) return i64x2.replace_lane(i64x2.splat(0), 0, -1);
    return i32x4.gt_s(i32x4.splat(n), i32x4(0, 1, 2, 3));
  }
}
