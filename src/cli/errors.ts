/** What can go wrong at the command line, and the exit code that says so. */

/** A wrong call: an unknown option, a missing argument. Exit code 2. */
export class UsageError extends Error {}

/** Something in a data or model file that cannot be worked with. Exit code 1. */
export class DataError extends Error {}

/** A place in a table. Rows and columns count from 1; in CSV the header is row 1. */
export interface Place {
  file: string;
  row?: number;
  column?: number;
  /** The name of the column. */
  name?: string;
}

/** Throws a `DataError` that begins with the place. */
export function failAt({ file, row, column, name }: Place, message: string): never {
  const parts = [file];
  if (row !== undefined) parts.push(`row ${row}`);
  if (column !== undefined) parts.push(`column ${column}${name === undefined ? "" : ` (${name})`}`);
  throw new DataError(`${parts.join(", ")}: ${message}`);
}

/** Work whose errors are about a file; `translate` puts their messages in words of the command line. */
export function attempt<T>(file: string, work: () => T, translate = (message: string) => message): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return failAt({ file }, translate(error.message));
  }
}

/** The message of a system error without its call and code. */
export function explain(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  switch (code) {
    case "ENOENT":
      return "no such file or folder";
    case "EACCES":
    case "EPERM":
      return "permission denied";
    case "EISDIR":
      return "is a folder";
    case "ENOSPC":
      return "no space left on the disk";
    default:
      return message;
  }
}

/** A short picture of a cell for a message. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}...` : text);
}
