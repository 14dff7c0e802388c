/** The kernels in Cloudflare Workers, which compile no bytes at run time: importing a part's file gives its module. */
import type { PartSource } from "../core/instance.js";
import columnsModule from "../kernels/columns.wasm";
import dataModule from "../kernels/data.wasm";
import functionsModule from "../kernels/functions.wasm";
import linearModule from "../kernels/linear.wasm";
import planesModule from "../kernels/planes.wasm";
import rowsModule from "../kernels/rows.wasm";

export const columns: PartSource = () => columnsModule;
export const data: PartSource = () => dataModule;
export const functions: PartSource = () => functionsModule;
export const linear: PartSource = () => linearModule;
export const planes: PartSource = () => planesModule;
export const rows: PartSource = () => rowsModule;
