/** Temporary files, which no end of the process that it can notice leaves behind. */
import { unlinkSync } from "node:fs";

const files = new Set<string>();

/** Counts a file among those to remove at the end. */
export function track(file: string): void {
  files.add(file);
}

/** The file has become something else: it stays. */
export function forget(file: string): void {
  files.delete(file);
}

export function remove(file: string): void {
  if (!files.delete(file)) return;
  try {
    unlinkSync(file);
  } catch {
    // Gone already: that is what was wanted.
  }
}

/** Removes temporary files when the process ends, by itself or by a signal. */
export function cleanUpAtExit(): void {
  process.on("exit", () => files.forEach(remove));
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.once(signal, () => {
      files.forEach(remove);
      // With the listener gone this ends the process, and tells the shell why.
      process.kill(process.pid, signal);
    });
  }
}
