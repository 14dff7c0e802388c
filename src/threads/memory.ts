/** The one memory that pools and their workers share, and the kernels on it. */
import { adoptInstance, FIRST_PAGES } from "../core/instance.js";
import type { Kernels } from "../core/kernels.generated.js";
import { bytesOf } from "../sources/text.js";
import { sharedLength, sharedText } from "./kernels.generated.js";

export interface SharedKernels {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
}

/** The most that the memory may grow to; some engines reserve it at once, and do not have as much. */
const MOST_PAGES = [65536, 32768, 16384];

let shared: Promise<SharedKernels> | undefined;

/** The memory and its kernels, which are also those of this thread from now on. */
export function sharedKernels(): Promise<SharedKernels> {
  shared ??= start();
  return shared;
}

async function start(): Promise<SharedKernels> {
  const module = await WebAssembly.compile(bytesOf(sharedText(), sharedLength));
  const memory = newMemory();
  const { exports } = await WebAssembly.instantiate(module, { env: { memory } });
  adoptInstance(exports as unknown as Kernels, memory);
  return { module, memory };
}

function newMemory(): WebAssembly.Memory {
  for (const maximum of MOST_PAGES) {
    try {
      return new WebAssembly.Memory({ initial: FIRST_PAGES, maximum, shared: true });
    } catch {
      // Try again with less, then give up below.
    }
  }
  throw new RangeError(
    "createPool: out of memory: the engine has no room for a shared memory; close other pools or pages",
  );
}
