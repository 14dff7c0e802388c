/** Methods that must be each other in special cases. */
import { describe, expect, it } from "vitest";
import { batchNorm, groupNorm, instanceNorm, layerNorm, rmsNorm } from "../../src/index.js";
import { channelsLast, largestDifference, tensorOf } from "../support/numbers.js";

const shapes = [
  [2, 6, 3, 5],
  [3, 4, 31],
  [1, 3, 1023],
  [4, 5, 1],
];

describe.each(shapes.map((shape) => ({ shape })))("for x of $shape", ({ shape }) => {
  const x = tensorOf(shape, 7, "float64", 3);
  const [n, c, ...spatial] = shape;
  const s = spatial.reduce((a, b) => a * b, 1);
  const close = 1e-12;

  it("group norm with one group has layer norm's statistics", () => {
    const layer = layerNorm(x, { normalizedShape: shape.slice(1) });
    expect(largestDifference(groupNorm(x, { numGroups: 1 }).data, layer.data)).toBeLessThan(close);
  });

  it.skipIf(s === 1)("group norm with a channel a group is instance norm", () => {
    expect(largestDifference(groupNorm(x, { numGroups: c }).data, instanceNorm(x).data)).toBe(0);
  });

  it("batch norm is instance norm of the samples laid end to end", () => {
    // [N, C, S] to [1, C, N·S]
    const moved = { data: new Float64Array(x.data.length), shape: [1, c, n * s] };
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < c; j++) {
        moved.data.set(x.data.subarray((i * c + j) * s, (i * c + j + 1) * s), (j * n + i) * s);
      }
    }
    const batch = batchNorm(x).data;
    const instance = instanceNorm(moved).data;
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < c; j++) {
        const [a, b] = [(i * c + j) * s, (j * n + i) * s];
        expect(largestDifference(batch.subarray(a, a + s), instance.subarray(b, b + s))).toBeLessThan(close);
      }
    }
  });

  it("the layouts agree", () => {
    const last = channelsLast(x);
    const layout = "channels-last";
    const pairs = [
      [batchNorm(x), batchNorm(last, { layout })],
      [groupNorm(x, { numGroups: 1 }), groupNorm(last, { numGroups: 1, layout })],
      ...(s === 1 ? [] : [[instanceNorm(x), instanceNorm(last, { layout })]]),
    ];
    for (const [first, second] of pairs) {
      expect(largestDifference(channelsLast(first).data, second.data)).toBeLessThan(close);
    }
  });

  it("RMS norm of centered rows is layer norm", () => {
    const centered = { data: Float64Array.from(x.data), shape };
    const width = c * s;
    for (let i = 0; i < n; i++) {
      const row = centered.data.subarray(i * width, (i + 1) * width);
      const mean = row.reduce((sum, value) => sum + value, 0) / width;
      for (let j = 0; j < width; j++) row[j] -= mean;
    }
    const options = { normalizedShape: shape.slice(1) };
    expect(largestDifference(rmsNorm(centered, options).data, layerNorm(x, options).data)).toBeLessThan(close);
  });
});
