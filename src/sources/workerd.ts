/** The kernels' module in Cloudflare Workers, which compile no bytes at run time: an import of the file is the module. */
import module from "../kernels.wasm";

export function bundledKernels(): WebAssembly.Module | Uint8Array<ArrayBuffer> {
  return module;
}
