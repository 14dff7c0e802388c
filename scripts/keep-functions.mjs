/**
 * A compiler pass for asc: only what the source marks @inline is inlined. Left alone, the optimizer folds a function with
 * one caller into it, several SIMD loops end up in one function, and V8 spills the vector registers of all of them
 * (layer norm: 28 µs folded, 15 µs as separate functions).
 */
export default class KeepFunctions {
  afterCompile(module) {
    this.binaryen.setPassArgument("no-inline", "*");
    module.runPasses(["no-inline"]);
  }
}
