/** The kernels' module as the package's usual entry has it: as a text in the code. */
import { kernelLength, kernelText } from "../core/kernels.generated.js";
import { bytesOf } from "./text.js";

/** The module, or its bytes. */
export function bundledKernels(): WebAssembly.Module | Uint8Array<ArrayBuffer> {
  return bytesOf(kernelText(), kernelLength);
}
