/** Where the kernels come from. The module is new for each test, as in a fresh process. */
import { readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { rows } from "../../src/sources/inline.js";

/** All kernels, which the build packs as evenkeel/kernels.wasm; and those of one part. */
const bytes = new Uint8Array(readFileSync("dist/kernels/all.wasm"));
const part = rows() as Uint8Array<ArrayBuffer>;
/** A module without anything in it. */
const empty = Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0);
let api: typeof import("../../src/index.js");

beforeEach(async () => {
  vi.resetModules();
  api = await import("../../src/index.js");
});

const works = () =>
  expect(api.rmsNorm({ data: new Float32Array([3, 3]), shape: [1, 2] }, { normalizedShape: 2, eps: 0 }).data).toEqual(
    new Float32Array([1, 1]),
  );

describe("init", () => {
  it("is not needed, and nothing is instantiated before the first call", () => {
    expect(api.memoryInfo().totalBytes).toBe(0);
    works();
    expect(api.memoryInfo().totalBytes).toBeGreaterThan(0);
  });

  const response = { arrayBuffer: async () => bytes.buffer };
  it.each([
    ["the bundled kernels", () => undefined],
    ["a module", () => new WebAssembly.Module(bytes)],
    ["bytes", () => bytes],
    ["a buffer", () => bytes.buffer],
    ["a response", () => response],
    ["a promise", () => Promise.resolve(response)],
  ])("takes %s", async (_, source) => {
    await api.init(source());
    works();
  });

  it("keeps the instance that a call made meanwhile", async () => {
    const pending = api.init();
    const t = api.tensor([2], { data: [1, 2] });
    await pending;
    expect(Array.from(t.data)).toEqual([1, 2]);
    await api.init(empty);
    expect(Array.from(t.data)).toEqual([1, 2]);
  });

  it("rejects what is no module, and kernels of another version, and can then be called again", async () => {
    await expect(api.init("kernels.wasm" as never)).rejects.toThrow(
      'init: source must be the module of evenkeel/kernels.wasm or its bytes, got "kernels.wasm"',
    );
    for (const other of [empty, part]) {
      await expect(api.init(other)).rejects.toThrow("init: source is not the kernels of this version of evenkeel");
    }
    await api.init(bytes);
    works();
  });
});

describe("parts", () => {
  /** The memory of each instance that was made. */
  const memories: unknown[] = [];
  const { Instance } = WebAssembly;
  class Noted extends Instance {
    constructor(module: WebAssembly.Module, imports?: WebAssembly.Imports) {
      super(module, imports);
      memories.push(imports?.env.memory);
    }
  }
  beforeEach(() => {
    memories.length = 0;
    WebAssembly.Instance = Noted;
  });
  afterEach(() => {
    WebAssembly.Instance = Instance;
  });
  const x = { data: new Float32Array([1, 2, 3, 4]), shape: [2, 2] };
  const layerNorm = () => api.layerNorm(x, { normalizedShape: 2 });

  it("are made ready when they are first called, on one memory", () => {
    const t = api.tensor([2, 2], { data: x.data });
    expect(memories).toHaveLength(0);
    layerNorm();
    layerNorm();
    expect(memories).toHaveLength(1);
    expect(api.matmul(t, t).data).toEqual(new Float32Array([7, 10, 15, 22]));
    expect(memories).toHaveLength(2);
    expect(memories[1]).toBe(memories[0]);
    expect(t.data.buffer).toBe((memories[0] as WebAssembly.Memory).buffer);
    t.dispose();
  });

  it("are one where the application gave a module", () => {
    api.initSync(bytes);
    layerNorm();
    api.matmul(x, x);
    new api.StandardScaler().fit(x);
    expect(memories).toHaveLength(1);
  });

  it("are those of rows, where it gave none", () => {
    api.initSync();
    layerNorm();
    expect(memories).toHaveLength(1);
    api.initSync(empty);
    api.selu(x);
    expect(memories).toHaveLength(2);
  });

  it("take a module that is given before those of rows are ready", () => {
    api.selu(x);
    api.initSync(bytes);
    layerNorm();
    api.matmul(x, x);
    expect(memories).toHaveLength(2);
  });
});

describe("initSync", () => {
  it.each([
    ["the bundled kernels", () => undefined],
    ["a module", () => new WebAssembly.Module(bytes)],
    ["bytes", () => bytes],
  ])("takes %s", (_, source) => {
    api.initSync(source());
    works();
  });

  it("throws where init rejects", () => {
    expect(() => api.initSync(null as never)).toThrow("initSync: source must be the module of evenkeel/kernels.wasm");
    expect(() => api.initSync(empty)).toThrow("initSync: source is not the kernels of this version of evenkeel");
    works();
  });
});
