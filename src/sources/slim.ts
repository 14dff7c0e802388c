/** The slim entry carries no kernels: the application brings them. */
export function bundledKernels(): WebAssembly.Module | Uint8Array<ArrayBuffer> {
  throw new Error(
    "evenkeel/slim carries no kernels; give them to init or initSync first: await init(source), where source is the " +
      "module, the bytes or the response of a fetch of evenkeel/kernels.wasm",
  );
}
