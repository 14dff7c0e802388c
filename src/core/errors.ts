/**
 * Errors say what argument broke which rule, what was received, and what to do: the caller should not have to open the
 * source. Each is thrown before anything was written.
 */

/** A short, safe picture of any value for a message. */
export function show(value: unknown): string {
  if (Array.isArray(value))
    return `[${value.length > 8 ? [...value.slice(0, 8), "..."].join(", ") : value.join(", ")}]`;
  if (ArrayBuffer.isView(value)) return `${value.constructor.name}(${(value as Float32Array).length})`;
  if (typeof value === "string") return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}...` : value);
  if (typeof value === "function") return "a function";
  if (typeof value === "object" && value !== null) {
    const name = value.constructor?.name;
    return name && name !== "Object"
      ? `a ${name}`
      : `an object with keys [${Object.keys(value).slice(0, 6).join(", ")}]`;
  }
  return String(value);
}

/** Throws `<method>: <message>` as a RangeError. */
export function fail(method: string, message: string): never {
  throw new RangeError(`${method}: ${message}`);
}

/** A finite number, at least `least` (or above it). */
export function checkNumber(method: string, name: string, value: unknown, least: number, above = false): number {
  if (typeof value !== "number" || !(above ? value > least : value >= least) || value === Infinity) {
    fail(method, `${name} must be a finite number ${above ? "above" : "of at least"} ${least}, got ${show(value)}`);
  }
  return value as number;
}

/** A finite number of any sign. */
export function checkFinite(method: string, name: string, value: unknown): number {
  if (!Number.isFinite(value)) fail(method, `${name} must be a finite number, got ${show(value)}`);
  return value as number;
}

/** A whole number, at least `least`. */
export function checkCount(method: string, name: string, value: unknown, least = 1): number {
  if (!Number.isSafeInteger(value) || (value as number) < least) {
    fail(method, `${name} must be a whole number of at least ${least}, got ${show(value)}`);
  }
  return value as number;
}

/** What is added to a variance before its root is taken. */
export function checkEps(method: string, eps: number | undefined): number {
  return checkNumber(method, "eps", eps ?? 1e-5, 0);
}

/** One of a list of words. */
export function checkOneOf<W extends string>(method: string, name: string, value: unknown, words: readonly W[]): W {
  if (!words.includes(value as W)) {
    fail(method, `${name} must be ${words.map((word) => `"${word}"`).join(" or ")}, got ${show(value)}`);
  }
  return value as W;
}
