/** Numbers as text. */
import type { DType } from "../../core/memory.js";

const NAN = /^[+-]?nan$/i;
const INFINITE = /^([+-]?)inf(?:inity)?$/i;

/** Whether text looks so much like a decimal number that what Number makes of it is right. */
function isPlain(text: string): boolean {
  const first = text.charCodeAt(0);
  const second = text.charCodeAt(1);
  // Neither blanks, of which Number makes 0, nor 0x, 0o or 0b; an exponent may come second.
  return first > 32 && !(second >= 66 && second !== 69 && second !== 101);
}

/** Reads cells of text. Empty cells, NaN and the given marks are missing values. */
export class NumberReader {
  readonly #marks: ReadonlySet<string>;

  constructor(marks: readonly string[] = []) {
    this.#marks = new Set(marks.map((mark) => mark.trim()));
  }

  /** NaN for a missing value, undefined for what is no number. */
  parse(text: string): number | undefined {
    if (this.#marks.size === 0 && isPlain(text)) {
      const value = +text;
      if (!Number.isNaN(value)) return value;
    }
    return this.#careful(text.trim());
  }

  #careful(text: string): number | undefined {
    if (text === "" || this.#marks.has(text) || NAN.test(text)) return NaN;
    const infinite = INFINITE.exec(text);
    if (infinite) return infinite[1] === "-" ? -Infinity : Infinity;
    const value = isPlain(text) ? +text : NaN;
    return Number.isNaN(value) ? undefined : value;
  }
}

/** The shortest digits that read back as the same float32. */
function shortestFloat32(value: number): string {
  for (let digits = 6; digits < 9; digits++) {
    const short = +value.toPrecision(digits);
    if (Math.fround(short) === value) return String(short);
  }
  return String(+value.toPrecision(9));
}

/** Writes the shortest digits that read back as the same value. */
export function formatNumber(dtype: DType): (value: number) => string {
  const format = dtype === "float32" ? shortestFloat32 : String;
  return (value) => (value === 0 && 1 / value < 0 ? "-0" : format(value));
}
