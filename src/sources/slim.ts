/** The slim entry carries no kernels: the application brings them, all parts in one module. */
import type { PartSource } from "../core/instance.js";

const none: PartSource = () => {
  throw new Error(
    "evenkeel/slim carries no kernels; give them to init or initSync first: await init(source), where source is the " +
      "module, the bytes or the response of a fetch of evenkeel/kernels.wasm",
  );
};

export { none as columns, none as data, none as functions, none as linear, none as planes, none as rows };
