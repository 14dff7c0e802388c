import { describe, expect, it } from "vitest";
import { copyF64, elementBytes, heap64, heapOf, scratch, scratchF64, withScratch } from "../../../src/core/memory.js";
import { kernelsOf, PLANES } from "../../../src/core/parts.js";
import { momentsOf } from "../../support/moments.js";
import { values } from "../../support/numbers.js";

describe.each(["float32", "float64"] as const)("moments of planes of %s", (dtype) => {
  const k = () => kernelsOf(PLANES, dtype);
  const width = elementBytes(dtype);
  // Sums over 64 lanes' worth of terms: a few ulps.
  const ulps = dtype === "float32" ? 4e-7 : 1e-14;

  // One part, and as many as make several blocks of short runs; runs of less than a vector, of several, and long ones.
  it.each([
    [1, 5],
    [3, 1],
    [4, 4],
    [300, 4],
    [45, 49],
    [7, 256],
    [3, 257],
  ])("of groups of %i runs of %i elements, at offsets 0 to 1e6, in any split on blocks", (parts, n) => {
    const groups = 3;
    // A lane of a block sums up to 256 terms, about a center that is the mean.
    const bound = 259 * (dtype === "float32" ? 2 ** -24 : 2 ** -53);
    for (const offset of [0, 1e3, 1e6]) {
      const x = values(parts * groups * n, n, offset).map((value) =>
        dtype === "float32" ? Math.fround(value) : value,
      );
      // A first run unlike the others.
      if (parts > 1) for (let i = 0; i < n; i++) x[n + i] += 64;
      withScratch(() => {
        const at = scratch(x.length * width);
        const [mean, m2, split, splitM2] = Array.from({ length: 4 }, () => scratchF64(groups));
        heapOf(dtype).set(x, at / width);
        k().planeMoments(mean, m2, at, groups, parts, n, groups * n, 0);
        for (let g = 0; g < groups; g++) {
          const want = momentsOf(x.filter((_, i) => Math.floor(i / n) % groups === g));
          const deviation = Math.sqrt(want.m2 / (parts * n));
          const allowed = bound * Math.max(1, deviation) + Math.abs(want.mean) * 1e-15;
          expect(Math.abs(heap64()[mean / 8 + g] - want.mean)).toBeLessThanOrEqual(allowed);
          // Merging takes the difference of two means, each rounded at the offset.
          const merging = parts * n * (g === 1 ? 64 : 1) * offset * 2.3e-16;
          expect(Math.abs(heap64()[m2 / 8 + g] - want.m2)).toBeLessThanOrEqual(want.m2 * bound + merging + 1e-30);
        }
        const block = k().planeBlockParts(n);
        const first = Math.min(block, parts);
        k().planeMoments(split, splitM2, at, groups, first, n, groups * n, 0);
        if (first < parts) {
          const rest = at + first * groups * n * width;
          k().planeMoments(split, splitM2, rest, groups, parts - first, n, groups * n, first);
        }
        expect(copyF64(split, groups)).toEqual(copyF64(mean, groups));
        expect(copyF64(splitM2, groups)).toEqual(copyF64(m2, groups));
      });
    }
  });

  it("keeps NaN and overflow to their group", () => {
    const [groups, parts, n] = [5, 6, 3];
    const x = values(groups * parts * n, 3);
    x[2 * n + 1] = Number.NaN;
    const huge = dtype === "float32" ? 1e30 : 1e200;
    for (let p = 0; p < parts; p++) for (let i = 0; i < n; i++) x[(p * groups + 4) * n + i] *= huge;
    withScratch(() => {
      const at = scratch(x.length * width);
      const [mean, m2] = [scratchF64(groups), scratchF64(groups)];
      heapOf(dtype).set(x, at / width);
      k().planeMoments(mean, m2, at, groups, parts, n, groups * n, 0);
      const stored = heapOf(dtype).slice(at / width, at / width + x.length);
      for (const g of [0, 1, 3, 4]) {
        const want = momentsOf(stored.filter((_, i) => Math.floor(i / n) % groups === g));
        if (Number.isFinite(want.m2)) expect(Math.abs(heap64()[m2 / 8 + g] / want.m2 - 1)).toBeLessThan(ulps);
      }
      expect(heap64()[mean / 8 + 2]).toBeNaN();
    });
  });
});
