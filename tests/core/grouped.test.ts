import { afterEach, describe, expect, it } from "vitest";
import { setStageBytes } from "../../src/core/stream.js";
import {
  batchNorm,
  batchNormBackward,
  batchNormForward,
  type ChannelGradients,
  ghostBatchNorm,
  ghostBatchNormBackward,
  ghostBatchNormForward,
  groupNorm,
  groupNormBackward,
  groupNormForward,
  instanceNorm,
  instanceNormBackward,
  instanceNormForward,
  memoryInfo,
  type Tensor,
  type TensorLike,
  tensor,
} from "../../src/index.js";
import { bits, tensorOf, values } from "../support/numbers.js";

type Step = (x: TensorLike, dy: TensorLike, channels: number, out?: TensorLike) => ChannelGradients & { y: Tensor };

const parameters = (channels: number) => ({ weight: values(channels, 3), bias: values(channels, 4) });

/** A copy, for results that `out` shares with the gradient. */
const copy = ({ data, shape }: Tensor): Tensor => ({ data: data.slice(), shape });

const methods: Record<string, Step> = {
  "batch norm": (x, dy, channels, out) => {
    const { y, saved } = batchNormForward(x, { ...parameters(channels), out });
    return { y: copy(y), ...batchNormBackward(dy, saved, { out }) };
  },
  "ghost batch norm": (x, dy, channels, out) => {
    const { y, saved } = ghostBatchNormForward(x, { ...parameters(channels), ghostBatchSize: 2, out });
    return { y: copy(y), ...ghostBatchNormBackward(dy, saved, { out }) };
  },
  "group norm": (x, dy, channels, out) => {
    const { y, saved } = groupNormForward(x, { ...parameters(channels), numGroups: channels / 2, out });
    return { y: copy(y), ...groupNormBackward(dy, saved, { out }) };
  },
  "instance norm": (x, dy, channels, out) => {
    const { y, saved } = instanceNormForward(x, { ...parameters(channels), out });
    return { y: copy(y), ...instanceNormBackward(dy, saved, { out }) };
  },
};

const bitsOf = ({ y, dx, dweight, dbias }: ReturnType<Step>) => [y, dx, dweight!, dbias!].map(({ data }) => bits(data));

afterEach(() => {
  setStageBytes(1 << 17);
});

describe.each(Object.keys(methods))("%s", (name) => {
  const step = methods[name];

  // Planes of one vector and less, several blocks of short ones, groups that share a page, planes longer than a block of the
  // reduction.
  it.each([
    [5, 6, 3],
    [300, 2, 4],
    [5, 6, 7, 7],
    [3, 4, 5, 1000],
    [3, 2, 5000],
  ])("has the same bits group by group, staged by groups, and streamed by planes: %#", (...shape) => {
    for (const dtype of ["float32", "float64"] as const) {
      const [x, dy] = [tensorOf(shape, 1, dtype), tensorOf(shape, 2, dtype)];
      const [lx, ldy] = [x, dy].map(({ data }) => tensor(shape, { data }));
      const out = tensor(shape, { dtype });
      const want = bitsOf(step(lx, ldy, shape[1], out));
      // All groups in one block, one group or a few at a time, and none that fits.
      for (const stageBytes of [1 << 20, 1 << 17, 1 << 13, 1 << 11, 64]) {
        setStageBytes(stageBytes);
        expect(bitsOf(step(x, dy, shape[1]))).toEqual(want);
        expect(bitsOf(step(x, ldy, shape[1], tensorOf(shape, 5, dtype)))).toEqual(want);
        expect(bitsOf(step(lx, dy, shape[1], out))).toEqual(want);
      }
      for (const used of [lx, ldy, out]) used.dispose();
    }
    expect(memoryInfo().usedBytes).toBe(0);
  });
});

it("batch norm with a mask that leaves all in has the bits of batch norm without one", () => {
  // Short runs without a mask are summed several at a time.
  const shape = [4, 3, 19, 17];
  const [x, dy] = [tensorOf(shape, 1, "float32"), tensorOf(shape, 2, "float32")];
  const bare = batchNormForward(x, parameters(3));
  const masked = batchNormForward(x, { ...parameters(3), mask: [1, 1, 1, 1] });
  expect(bits(masked.y.data)).toBe(bits(bare.y.data));
  const found = batchNormBackward(dy, masked.saved);
  expect(bits(found.dx.data)).toBe(bits(batchNormBackward(dy, bare.saved).dx.data));
});

// Calls for y alone copy no statistics out.
it.each(["channels-first", "channels-last"] as const)("y alone has the bits of y with what is saved, %s", (layout) => {
  for (const shape of [
    [4, 6, 6],
    [4, 6],
  ]) {
    const x = tensorOf(shape, 1, "float32");
    const options = { ...parameters(6), layout };
    const running = { runningMean: values(6, 5), runningVar: values(6, 6, 2) };
    const evaluated = { ...options, ...running, mode: "eval" as const };
    const pairs = [
      [batchNorm(x, { ...options, ...running }), batchNormForward(x, { ...options, ...running })],
      [batchNorm(x, evaluated), batchNormForward(x, evaluated)],
      [
        ghostBatchNorm(x, { ...options, ghostBatchSize: 2 }),
        ghostBatchNormForward(x, { ...options, ghostBatchSize: 2 }),
      ],
      [groupNorm(x, { ...options, numGroups: 2 }), groupNormForward(x, { ...options, numGroups: 2 })],
    ] as const;
    for (const [alone, { y }] of pairs) expect(bits(alone.data)).toBe(bits(y.data));
    if (shape.length > 2) {
      expect(bits(instanceNorm(x, options).data)).toBe(bits(instanceNormForward(x, options).y.data));
    }
  }
});
