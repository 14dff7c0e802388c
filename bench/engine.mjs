/**
 * Imported before any wasm is compiled: every function of every module is compiled once, by the optimizing compiler,
 * when it is first called. V8 would otherwise start with its baseline compiler and replace hot functions when it sees
 * fit; on a busy machine the product of onnxruntime-web once stayed four times slower for a whole run.
 */
import { setFlagsFromString } from "node:v8";

setFlagsFromString("--no-liftoff");
setFlagsFromString("--wasm-lazy-compilation");
