/** The kernels as the package's usual entry has them: a module for each part, as a text in the code. */
import type { PartSource } from "../core/instance.js";
import {
  columnsLength,
  columnsText,
  dataLength,
  dataText,
  functionsLength,
  functionsText,
  linearLength,
  linearText,
  planesLength,
  planesText,
  rowsLength,
  rowsText,
} from "../core/kernels.generated.js";
import { bytesOf } from "./text.js";

export const columns: PartSource = () => bytesOf(columnsText(), columnsLength);
export const data: PartSource = () => bytesOf(dataText(), dataLength);
export const functions: PartSource = () => bytesOf(functionsText(), functionsLength);
export const linear: PartSource = () => bytesOf(linearText(), linearLength);
export const planes: PartSource = () => bytesOf(planesText(), planesLength);
export const rows: PartSource = () => bytesOf(rowsText(), rowsLength);
