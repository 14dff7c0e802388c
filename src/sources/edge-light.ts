/** The kernels in edge runtimes of Vercel's kind: `?module` imports a part's file as a module. */
import type { PartSource } from "../core/instance.js";
import columnsModule from "../kernels/columns.wasm?module";
import dataModule from "../kernels/data.wasm?module";
import functionsModule from "../kernels/functions.wasm?module";
import linearModule from "../kernels/linear.wasm?module";
import planesModule from "../kernels/planes.wasm?module";
import rowsModule from "../kernels/rows.wasm?module";

export const columns: PartSource = () => columnsModule;
export const data: PartSource = () => dataModule;
export const functions: PartSource = () => functionsModule;
export const linear: PartSource = () => linearModule;
export const planes: PartSource = () => planesModule;
export const rows: PartSource = () => rowsModule;
