/**
 * The kernels' instances, on one memory. They are made synchronously at the first call of a kernel, or before by `init`
 * or `initSync`; importing does nothing. Where modules come from is the one thing in which the package's entries
 * differ: the build puts another file in the place of sources/inline.ts. They have a module for each part of the
 * kernels; what an application gives is one of all parts.
 */
import { instantiate, instantiateSync, type ResultObject } from "@assemblyscript/loader";
import { rows } from "../sources/inline.js";
import { fail, show } from "./errors.js";
import { heapBase, type Kernels, kernelMark } from "./kernels.generated.js";

/** Where kernels come from: their module, its bytes, or a response that brings them, as `fetch` gives it. */
export type KernelSource = WebAssembly.Module | BufferSource | Body;
type Body = { arrayBuffer(): Promise<ArrayBuffer> };

/** Gives the module of a part of the kernels, or its bytes. */
export type PartSource = () => WebAssembly.Module | Uint8Array<ArrayBuffer>;

/** The kernels of one element type, without their suffix. */
export type TypedKernels<All> = {
  [Name in keyof All as Name extends `${infer Base}_f32` ? Base : never]: All[Name];
};

/** The kernels of an instance by their names, and those of each element type by their names without it. */
export interface Instance<All> {
  readonly all: All;
  readonly f32: TypedKernels<All>;
  readonly f64: TypedKernels<All>;
}

/** All kernels, once they were given. */
let given: Instance<Kernels> | undefined;
/** What was made of sources: no more than the kernels of a part, where that is what the source gives. */
const instances = new Map<PartSource, Instance<Kernels>>();

/** Pages of the memory at first, as modules ask for them. */
export const FIRST_PAGES = 24;
let memory: WebAssembly.Memory | undefined;

/** A part of the linear memory, from byte `start` up to `end`. */
export interface Room {
  start: number;
  end: number;
}
let givenRooms: readonly Room[] | undefined;

/** The memory that all instances have in common. */
export function kernelMemory(): WebAssembly.Memory {
  memory ??= new WebAssembly.Memory({ initial: FIRST_PAGES });
  return memory;
}

/** The kernels of a part, instantiated once. */
export function kernelInstance(source: PartSource): Instance<Kernels> {
  const made = given ?? instances.get(source);
  if (made !== undefined) return made;
  const from = source();
  const module = from instanceof WebAssembly.Module ? from : new WebAssembly.Module(from);
  // Not by the loader: the table of wrappers that it makes of all kernels would take longer than to compile them.
  const instance = byType(new WebAssembly.Instance(module, imports()).exports as unknown as Kernels);
  instances.set(source, instance);
  return instance;
}

/** The parts of the memory that this thread gives out: all but static data, unless it shares the memory with others. */
export function kernelRooms(): readonly Room[] {
  return givenRooms ?? [{ start: heapBase, end: kernelMemory().buffer.byteLength }];
}

/** Uses kernels that were instantiated elsewhere, on a memory that is shared with other threads. */
export function adoptInstance(kernels: Kernels, shared: WebAssembly.Memory, rooms?: readonly Room[]): void {
  given = byType(kernels);
  memory = shared;
  givenRooms = rooms;
}

/**
 * Makes kernels ready now, not at the first call; optional but in `evenkeel/slim`, which carries none. Returns at once
 * where they are ready.
 *
 * `source` is the module of `evenkeel/kernels.wasm` or its bytes, which are all kernels. Throws where it is anything
 * else, or the kernels of another version. Default: what the package carries, of which these are the kernels along
 * rows, those of layer norm; other parts (planes, columns, linear algebra, functions, pixels) are ready within a
 * millisecond at the first call that uses them, so that an application carries only those that it does use.
 *
 * @example
 * initSync();
 */
export function initSync(source?: WebAssembly.Module | BufferSource): void {
  if (isReady()) return;
  if (source === undefined) {
    kernelInstance(rows);
    return;
  }
  checkKind("initSync", source);
  const made = instantiateSync(source, imports());
  checkMark("initSync", made.module);
  given = kernelsIn(made);
}

/**
 * `initSync` without blocking. `source` may also be a response, as `fetch` gives it, or a promise of any of them.
 *
 * @example
 * init().then(() => layerNorm(x, { normalizedShape: 768 }));
 */
export async function init(source?: KernelSource | PromiseLike<KernelSource>): Promise<void> {
  let from = await source;
  if (isReady()) return;
  // By its shape: where `Response` is looked up, Node loads its whole HTTP client.
  if (typeof (from as Body | undefined)?.arrayBuffer === "function") from = await (from as Body).arrayBuffer();
  if (from !== undefined) checkKind("init", from);
  const made = await instantiate((from as BufferSource | undefined) ?? rows(), imports());
  if (from !== undefined) checkMark("init", made.module);
  // A call may have come first, and what it made is in use.
  if (isReady()) return;
  if (from === undefined) instances.set(rows, kernelsIn(made));
  else given = kernelsIn(made);
}

function isReady(): boolean {
  return given !== undefined || instances.has(rows);
}

function imports(): { env: { memory: WebAssembly.Memory } } {
  return { env: { memory: kernelMemory() } };
}

/** The functions of the module themselves: the loader's own table has each behind one that passes a list of arguments on. */
function kernelsIn({ instance }: ResultObject): Instance<Kernels> {
  return byType(instance.exports as unknown as Kernels);
}

function byType(all: Kernels): Instance<Kernels> {
  const tables: Record<string, Record<string, unknown>> = { f32: {}, f64: {} };
  for (const name in all) {
    const table = tables[name.slice(-3)];
    if (table !== undefined) table[name.slice(0, -4)] = all[name as keyof Kernels];
  }
  return { all, ...tables } as unknown as Instance<Kernels>;
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
