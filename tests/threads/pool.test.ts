import { syncBuiltinESMExports } from "node:module";
import workerThreads from "node:worker_threads";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import * as library from "../../src/index.js";
import type { Pool } from "../../src/threads/index.js";
import { bits, tensorOf } from "../support/numbers.js";

// The pool's modules have a memory of their own, as they do in the package.
vi.resetModules();
const { createPool, supported } = await import("../../src/threads/index.js");

/** Every worker that was started. */
const workers: workerThreads.Worker[] = [];
const { Worker } = workerThreads;
workerThreads.Worker = class extends Worker {
  constructor(...args: ConstructorParameters<typeof Worker>) {
    super(...args);
    workers.push(this);
  }
};
syncBuiltinESMExports();

const dtypes = ["float32", "float64"] as const;
type Arrays = Parameters<typeof library.matmul>[0];

/** Everything of a result that has bits, by where it is; the inputs that it refers to are left out. */
function bitsOf(value: unknown, inputs: readonly unknown[] = [], path = ""): Record<string, string> {
  if (value instanceof Float32Array || value instanceof Float64Array) return { [path]: bits(value) };
  if (typeof value !== "object" || value === null || inputs.includes(value)) return {};
  const found: Record<string, string> = {};
  for (const [key, item] of Object.entries(value)) {
    if (key !== "options") Object.assign(found, bitsOf(item, inputs, `${path}.${key}`));
  }
  return found;
}

describe.each([1, 2, 4])("a pool of %i", (threads) => {
  let pool: Pool;
  let held = 0;
  beforeAll(async () => {
    pool = await createPool({ threads, minWork: 0 });
    held = pool.memoryInfo().usedBytes;
  });
  afterEach(() => expect(pool.memoryInfo().usedBytes).toBe(held));
  afterAll(() => pool.close());

  describe.each(dtypes)("%s", (dtype) => {
    it.each([
      [1, 1, 1, false, false],
      [5, 7, 3, false, true],
      [67, 129, 65, true, false],
      [300, 517, 130, false, false],
      [301, 1030, 33, true, true],
    ])("multiplies [%i, %i] of depth %i as one thread does (%s, %s)", async (m, n, k, transposeA, transposeB) => {
      const a = tensorOf(transposeA ? [k, m] : [m, k], 1, dtype);
      const b = tensorOf(transposeB ? [n, k] : [k, n], 2, dtype);
      const options = { transposeA, transposeB };
      const want = library.matmul(a, b, options);
      const got = await pool.matmul(a, b, options);
      expect(got.shape).toEqual(want.shape);
      expect(bits(got.data)).toBe(bits(want.data));
    });

    const shapes: Array<[name: string, shape: number[], layout: "channels-first" | "channels-last"]> = [
      ["vectors", [203, 37], "channels-first"],
      ["vectors in two groups", [130, 38], "channels-first"],
      ["narrow columns", [2100, 5], "channels-first"],
      ["one row", [2, 3], "channels-first"],
      ["planes", [3, 6, 5, 61], "channels-first"],
      ["long planes", [2, 2, 9001], "channels-first"],
      ["channels last", [3, 33, 7, 22], "channels-last"],
      ["many channels last", [2, 17, 1030], "channels-last"],
    ];
    it.each(shapes)("normalizes %s as one thread does, forward and backward", async (_, shape, layout) => {
      const x = tensorOf(shape, 3, dtype, 100, 2);
      const dy = tensorOf(shape, 4, dtype);
      const channels = layout === "channels-first" ? shape[1] : shape[shape.length - 1];
      const weight = tensorOf([channels], 5, dtype).data;
      const bias = tensorOf([channels], 6, dtype).data;
      const options = { weight, bias, layout };
      const compare = async (
        forward: (x: Arrays, options: never) => { saved: unknown },
        backward: (dy: Arrays, saved: never) => unknown,
        forwardThere: (x: Arrays, options: never) => Promise<{ saved: unknown }>,
        backwardThere: (dy: Arrays, saved: never) => Promise<unknown>,
        given: object,
      ) => {
        const want = forward(x, given as never);
        const got = await forwardThere(x, given as never);
        expect((got.saved as { x: unknown }).x).toBe(x);
        expect(bitsOf(got, [x])).toEqual(bitsOf(want, [x]));
        const wanted = bitsOf(backward(dy, want.saved as never));
        expect(bitsOf(await backwardThere(dy, got.saved as never))).toEqual(wanted);
      };
      const { batchNormForward, groupNormForward, instanceNormForward, layerNormForward } = library;
      const { batchNormBackward, groupNormBackward, instanceNormBackward, layerNormBackward } = library;
      await compare(batchNormForward, batchNormBackward, pool.batchNormForward, pool.batchNormBackward, options);
      const groups = { ...options, numGroups: channels % 2 === 0 ? 2 : 1 };
      await compare(groupNormForward, groupNormBackward, pool.groupNormForward, pool.groupNormBackward, groups);
      if (shape.length > 2) {
        const { instanceNormForward: there, instanceNormBackward: back } = pool;
        await compare(instanceNormForward, instanceNormBackward, there, back, options);
      }
      const normalizedShape = shape.slice(1);
      await compare(layerNormForward, layerNormBackward, pool.layerNormForward, pool.layerNormBackward, {
        normalizedShape,
      });
    });

    it.each([
      [3, 2],
      [1000, 37],
      [513, 130],
    ])("fits whitening to [%i, %i] as one thread does", async (rows, columns) => {
      const x = tensorOf([rows, columns], 7, dtype, 1000);
      for (const Kind of [library.Whitening, library.Decorrelation]) {
        const want = new Kind().fit(x);
        const got = await pool.fit(new Kind(), x);
        expect(JSON.stringify(got)).toBe(JSON.stringify(want));
        const more = tensorOf([rows + 1, columns], 8, dtype);
        await pool.partialFit(got, more);
        expect(JSON.stringify(got)).toBe(JSON.stringify(want.partialFit(more)));
      }
    });
  });

  it("works on tensors of the shared memory where they are", async () => {
    const x = tensorOf([12, 30, 11], 9, "float32");
    const want = library.batchNorm(x);
    const t = pool.tensor([12, 30, 11], { data: x.data });
    const out = pool.tensor([12, 30, 11]);
    expect(await pool.batchNorm(t, { out })).toBe(out);
    expect(bits(out.data)).toBe(bits(want.data));
    const { y, saved } = await pool.batchNormForward(t, { out: t });
    expect(y).toBe(t);
    expect(saved).toMatchObject({ x: null });
    expect(bits(t.data)).toBe(bits(want.data));
    const part = await pool.batchNorm(out.at(3), { layout: "channels-last" });
    expect(bits(part.data)).toBe(bits(library.batchNorm(out.at(3), { layout: "channels-last" }).data));
    t.dispose();
    out.dispose();
  });

  it("writes to arrays of the heap, also in place", async () => {
    const x = tensorOf([40, 30], 10, "float32");
    const want = library.batchNorm(x);
    const out = { data: new Float32Array(1200), shape: [40, 30] };
    expect(await pool.batchNorm(x, { out })).toBe(out);
    expect(bits(out.data)).toBe(bits(want.data));
    expect(await pool.batchNorm(x, { out: x })).toBe(x);
    expect(bits(x.data)).toBe(bits(want.data));
  });

  it("takes calls while others are under way", async () => {
    const inputs = Array.from({ length: 8 }, (_, i) => tensorOf([50 + i, 20], i, "float64"));
    const got = await Promise.all(inputs.map((x) => pool.matmul(x, x, { transposeB: true })));
    for (const [i, x] of inputs.entries()) {
      expect(bits(got[i].data)).toBe(bits(library.matmul(x, x, { transposeB: true }).data));
    }
  });

  it("keeps working when the memory grows on either side", async () => {
    const x = tensorOf([300, 200], 11, "float64");
    const want = bits(library.matmul(x, x, { transposeB: true }).data);
    const t = pool.tensor([300, 200], { data: x.data });
    const view = t.data;
    const large = pool.tensor([pool.memoryInfo().totalBytes / 4]);
    expect(view.length).toBe(t.length);
    expect(bits((await pool.matmul(t, t, { transposeB: true })).data)).toBe(want);
    const rows = tensorOf([3000, 900], 12, "float64");
    expect(bits((await pool.batchNorm(rows)).data)).toBe(bits(library.batchNorm(rows).data));
    expect(bits((await pool.matmul(t, t, { transposeB: true })).data)).toBe(want);
    large.dispose();
    t.dispose();
  });
});

describe("what a call may not do", () => {
  let pool: Pool;
  let held = 0;
  beforeAll(async () => {
    pool = await createPool({ threads: 2, minWork: 0 });
    held = pool.memoryInfo().usedBytes;
  });
  afterEach(() => expect(pool.memoryInfo().usedBytes).toBe(held));
  afterAll(() => pool.close());

  it("is refused with the error of the function, and leaves no trace", async () => {
    const a = tensorOf([3, 4], 1);
    await expect(pool.matmul(a, a)).rejects.toThrow(
      new RangeError("matmul: b has 3 rows where a has 4 columns (shapes [3, 4] and [3, 4]); they must be the same"),
    );
    await expect(pool.matmul(null as never, a)).rejects.toThrow(/^matmul: a must be/);
    await expect(pool.matmul({ data: a.data, shape: [5, 5] }, a)).rejects.toThrow(/^matmul: a.data has 12 elements/);
    await expect(pool.matmul({ data: a.data } as never, a)).rejects.toThrow(/^matmul: the shape of a must be/);
    await expect(pool.groupNorm(a, { numGroups: 3 })).rejects.toThrow(/channels \(4\) must be divisible by numGroups/);
    await expect(pool.batchNorm(a, { weight: [1] })).rejects.toThrow(/weight has 1 elements where 4 are needed/);
    await expect(pool.batchNorm(a, { mask: (() => 1) as never })).rejects.toThrow(/cannot go to a worker/);
    const whitening = new library.Whitening();
    const infinite = { data: new Float64Array([1, 2, Infinity, 4]), shape: [2, 2] };
    await expect(pool.fit(whitening, infinite)).rejects.toThrow(/^Whitening.fit: x\[1, 0\] is Infinity/);
    expect(whitening.nFeaturesIn).toBeUndefined();
    const t = pool.tensor([4, 4]);
    t.dispose();
    await expect(pool.matmul(t, a)).rejects.toThrow(/disposed of/);
  });

  it("runs other functions on the caller's thread", async () => {
    const x = tensorOf([4, 4], 2);
    expect(bits((await pool.rmsNorm(x, { normalizedShape: 4 })).data)).toBe(
      bits(library.rmsNorm(x, { normalizedShape: 4 }).data),
    );
    await expect(pool.rmsNorm(x, { normalizedShape: 3 })).rejects.toThrow(/^rmsNorm/);
    const scaler = await pool.fit(new library.StandardScaler(), x);
    expect(JSON.stringify(scaler)).toBe(JSON.stringify(new library.StandardScaler().fit(x)));
  });
});

describe("a worker that is lost", () => {
  const x = tensorOf([700, 300], 13, "float64");
  const want = bits(library.matmul(x, x, { transposeB: true }).data);

  it.each([
    ["the lead", 0],
    ["a helper", 1],
  ])("%s: the calls under way are rejected, and the next one finds others", async (_, index) => {
    const pool = await createPool({ threads: 2, minWork: 0 });
    const held = pool.memoryInfo().usedBytes;
    const crew = workers.slice(-2);
    const settled = Promise.allSettled([1, 2, 3].map(() => pool.matmul(x, x, { transposeB: true })));
    void crew[index].terminate();
    const last = (await settled)[2] as PromiseRejectedResult;
    expect(String(last.reason)).toBe(
      "Error: matmul: a worker of the pool was lost (it ended with code 1); the pool replaces it, call again",
    );
    expect(pool.memoryInfo().usedBytes).toBe(held);
    expect(bits((await pool.matmul(x, x, { transposeB: true })).data)).toBe(want);
    expect(workers.slice(-2)).not.toContain(crew[index]);

    // A message that is none of the pool's makes the lead throw.
    workers[workers.length - 2].postMessage(null);
    await expect(pool.matmul(x, x)).rejects.toThrow(/^matmul: a worker of the pool was lost \(.+\)/);
    expect(bits((await pool.matmul(x, x, { transposeB: true })).data)).toBe(want);
    await pool.close();
    expect(pool.memoryInfo().usedBytes).toBe(0);
  });
});

describe("createPool", () => {
  it("is supported here, and checks its options", async () => {
    expect(supported()).toBe(true);
    await expect(createPool({ threads: 0 })).rejects.toThrow(
      /^createPool: threads must be a whole number of at least 1/,
    );
    await expect(createPool({ minWork: -1 })).rejects.toThrow(/^createPool: minWork must be/);
  });

  it("says what is missing where threads cannot share memory", async () => {
    vi.stubGlobal("SharedArrayBuffer", undefined);
    expect(supported()).toBe(false);
    await expect(createPool()).rejects.toThrow(/Cross-Origin-Opener-Policy: same-origin/);
    vi.unstubAllGlobals();
    vi.stubGlobal("navigator", { userAgent: "Cloudflare-Workers" });
    expect(supported()).toBe(false);
    vi.unstubAllGlobals();
  });

  it("reports that a worker cannot start", async () => {
    vi.stubGlobal(
      "Worker",
      class {
        constructor() {
          throw new Error("refused by the content security policy");
        }
      },
    );
    await expect(createPool({ threads: 2 })).rejects.toThrow("refused by the content security policy");
    vi.unstubAllGlobals();
  });

  it("takes the machine's number of threads, and closes once the calls are done", async () => {
    const x = tensorOf([30, 20], 14);
    await using pool = await createPool({ minWork: 0 });
    expect(pool.threads).toBeGreaterThan(0);
    const call = pool.matmul(x, x, { transposeB: true });
    const closed = Promise.all([pool.close(), pool.close()]);
    expect(bits((await call).data)).toBe(bits(library.matmul(x, x, { transposeB: true }).data));
    await closed;
    await expect(pool.matmul(x, x, { transposeB: true })).rejects.toThrow(
      "matmul: the pool was closed; make another with createPool",
    );
    expect(pool.memoryInfo().usedBytes).toBe(0);
  });

  it("leaves work that is worth no worker to the caller's thread", async () => {
    const pool = await createPool({ threads: 1 });
    const posted = vi.spyOn(workers[workers.length - 1], "postMessage");
    const x = tensorOf([100, 20], 15, "float32");
    expect(bits((await pool.batchNorm(x)).data)).toBe(bits(library.batchNorm(x).data));
    expect(posted).not.toHaveBeenCalled();
    const large = tensorOf([512, 400], 15, "float32");
    await pool.matmul(large, large, { transposeB: true });
    expect(posted).toHaveBeenCalledOnce();
    await pool.close();
  });

  it("can be called again, and its pools share the memory", async () => {
    const [a, b] = await Promise.all([createPool({ threads: 1, minWork: 0 }), createPool({ threads: 2, minWork: 0 })]);
    const t = a.tensor([30, 30], { data: tensorOf([30, 30], 16).data });
    const [one, two] = await Promise.all([a.matmul(t, t), b.matmul(t, t)]);
    expect(bits(one.data)).toBe(bits(two.data));
    await Promise.all([a.close(), b.close()]);
    t.dispose();
    expect(a.memoryInfo().usedBytes).toBe(0);
  });
});
