/** The kernels' module as the package's usual entry has it: as a text in the code. */
import { kernelBytes, kernelLength } from "../core/kernels.generated.js";

/**
 * The module, or its bytes: one a character of the text. Where a page reads the script in another encoding than UTF-8 (a
 * classic script in a page that names none), the characters above 127 are other ones.
 */
export function bundledKernels(): WebAssembly.Module | Uint8Array<ArrayBuffer> {
  if (kernelBytes.length !== kernelLength) {
    throw new Error('evenkeel: the script was not read as UTF-8; put <meta charset="utf-8"> into the page');
  }
  const bytes = new Uint8Array(kernelLength);
  for (let i = 0; i < kernelLength; i++) bytes[i] = kernelBytes.charCodeAt(i);
  return bytes;
}
