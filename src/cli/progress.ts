/** Shows on a terminal how far a run has come. Elsewhere nothing is shown. */
import { Presets, SingleBar } from "cli-progress";
import type { Source } from "./formats/format.js";

export class Progress {
  readonly #bar: SingleBar | undefined;
  readonly #source: Source;
  readonly #hasEnd: boolean;

  constructor(source: Source, task: string) {
    this.#source = source;
    this.#hasEnd = source.progress() !== undefined;
    if (!process.stderr.isTTY) return;
    const how = this.#hasEnd ? "{bar} {percentage}% | {rows} rows | {eta_formatted} left" : "{rows} rows";
    this.#bar = new SingleBar(
      {
        stream: process.stderr,
        format: `${task} ${how}`,
        hideCursor: true,
        clearOnComplete: true,
        barsize: 30,
        fps: 10,
      },
      Presets.shades_classic,
    );
    this.#bar.start(1, 0, { rows: 0 });
  }

  update(rows: number): void {
    this.#bar?.update(this.#source.progress() ?? 0, { rows: rows.toLocaleString("en") });
  }

  /** Takes the bar away. */
  stop(): void {
    this.#bar?.stop();
  }
}
