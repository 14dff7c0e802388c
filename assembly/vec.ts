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
  static anyTrue(a: v128): bool {
    return v128.any_true(a);
  }

  /** Lane 0, 1 of an f64 vector. */
  @inline
  static lane0(v: v128): f64 {
    return f64x2.extract_lane(v, 0);
  }

  @inline
  static lane1(v: v128): f64 {
    return f64x2.extract_lane(v, 1);
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

  /** The least lane; NaN if any is NaN. */
  @inline
  static minLane<T>(v: v128): T {
    if (sizeof<T>() == 8) return <T>f64.min(f64x2.extract_lane(v, 0), f64x2.extract_lane(v, 1));
    return <T>(
      f32.min(
        f32.min(f32x4.extract_lane(v, 0), f32x4.extract_lane(v, 1)),
        f32.min(f32x4.extract_lane(v, 2), f32x4.extract_lane(v, 3)),
      )
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
