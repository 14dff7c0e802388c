/** The kernels' module in edge runtimes of Vercel's kind: `?module` imports the file as a module. */
import module from "../kernels.wasm?module";

export function bundledKernels(): WebAssembly.Module | Uint8Array<ArrayBuffer> {
  return module;
}
