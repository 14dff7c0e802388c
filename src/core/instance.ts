/**
 * The kernels' instance. It is made synchronously at the first call, or before by `init` or `initSync`; importing does
 * nothing. Where the module comes from is the one thing in which the package's entries differ: the build puts another
 * file of `sources` in the place of inline.ts.
 */
import { instantiate, instantiateSync, type ResultObject } from "@assemblyscript/loader";
import { bundledKernels } from "../sources/inline.js";
import { fail, show } from "./errors.js";
import { type Kernels, kernelMark } from "./kernels.generated.js";

/** Where kernels come from: their module, its bytes, or a response that brings them, as `fetch` gives it. */
export type KernelSource = WebAssembly.Module | BufferSource | Body;
type Body = { arrayBuffer(): Promise<ArrayBuffer> };

let instance: Kernels | undefined;

/** A part of the linear memory, from byte `start` up to `end`. */
export interface Room {
  start: number;
  end: number;
}
let givenRooms: readonly Room[] | undefined;

/** The kernels, instantiated once. */
export function kernelInstance(): Kernels {
  if (instance === undefined) initSync();
  return instance as Kernels;
}

/** The parts of the memory that this thread gives out: all but static data, unless it shares the memory with others. */
export function kernelRooms({ heapBase, memory }: Kernels): readonly Room[] {
  return givenRooms ?? [{ start: heapBase(), end: memory.buffer.byteLength }];
}

/** Uses an instance that was made elsewhere, on a memory that is shared with other threads. */
export function adoptInstance(kernels: Kernels, rooms?: readonly Room[]): void {
  instance = kernels;
  givenRooms = rooms;
}

/**
 * Makes the kernels ready now, not at the first call; optional but in `evenkeel/slim`, which carries no kernels. Returns at
 * once where they are ready.
 *
 * `source` is the module of `evenkeel/kernels.wasm` or its bytes; default: the kernels that the package carries. Throws where
 * it is anything else, or the kernels of another version.
 *
 * @example
 * initSync();
 */
export function initSync(source?: WebAssembly.Module | BufferSource): void {
  if (instance !== undefined) return;
  if (source !== undefined) checkKind("initSync", source);
  const made = instantiateSync(source ?? bundledKernels());
  if (source !== undefined) checkMark("initSync", made.module);
  instance = kernelsIn(made);
}

/**
 * `initSync` without blocking. `source` may also be a response, as `fetch` gives it, or a promise of any of them.
 *
 * @example
 * init().then(() => layerNorm(x, { normalizedShape: 768 }));
 */
export async function init(source?: KernelSource | PromiseLike<KernelSource>): Promise<void> {
  let given = await source;
  if (instance !== undefined) return;
  // By its shape: where `Response` is looked up, Node loads its whole HTTP client.
  if (typeof (given as Body | undefined)?.arrayBuffer === "function") given = await (given as Body).arrayBuffer();
  if (given !== undefined) checkKind("init", given);
  const made = await instantiate((given as BufferSource | undefined) ?? bundledKernels());
  if (given !== undefined) checkMark("init", made.module);
  // A call may have come first, and its instance may hold tensors.
  instance ??= kernelsIn(made);
}

/** The functions of the module themselves: the loader's own table has each behind one that passes a list of arguments on. */
function kernelsIn({ instance }: ResultObject): Kernels {
  return instance.exports as unknown as Kernels;
}

function checkKind(method: string, source: unknown): void {
  if (source instanceof WebAssembly.Module || source instanceof ArrayBuffer || ArrayBuffer.isView(source)) return;
  fail(method, `source must be the module of evenkeel/kernels.wasm or its bytes, got ${show(source)}`);
}

/** The code and the kernels that it calls are built together, and marked so. */
function checkMark(method: string, module: WebAssembly.Module): void {
  const [mark] = WebAssembly.Module.customSections(module, "evenkeel");
  if (mark === undefined || String.fromCharCode(...new Uint8Array(mark)) !== kernelMark) {
    fail(
      method,
      "source is not the kernels of this version of evenkeel; take evenkeel/kernels.wasm of the same version",
    );
  }
}
