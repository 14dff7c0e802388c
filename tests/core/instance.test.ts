/** Where the kernels come from. The module is new for each test, as in a fresh process. */
import { beforeEach, describe, expect, it, vi } from "vitest";
import { bundledKernels } from "../../src/sources/inline.js";

const bytes = bundledKernels() as Uint8Array<ArrayBuffer>;
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
    await expect(api.init(empty)).rejects.toThrow("init: source is not the kernels of this version of evenkeel");
    await api.init(bytes);
    works();
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
