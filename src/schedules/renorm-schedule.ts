import { checkCount } from "../core/errors.js";

/** How far batch renormalization may move its output towards the running statistics. */
export interface RenormLimits {
  /** r is held to [1/rMax, rMax]; at least 1, Infinity = no limit. */
  rMax: number;
  /** d is held to [-dMax, dMax]; at least 0, Infinity = no limit. */
  dMax: number;
}

/** From 0 at `from` to 1 at `to`. */
function ramp(step: number, from: number, to: number): number {
  return Math.min(1, Math.max(0, (step - from) / (to - from)));
}

/**
 * The limits of batch renormalization after `step` training steps: those of batch norm (rMax 1, dMax 0) for the first
 * 5,000 steps, then relaxed evenly, to rMax 3 at step 40,000 and dMax 5 at step 25,000.
 *
 * Throws where step is not a whole number of at least 0.
 *
 * Source: S. Ioffe, "Batch Renormalization", 2017, arXiv:1702.03275, section 4.
 *
 * @example
 * const { rMax, dMax } = renormSchedule(15000); // 1.571..., 2.5
 */
export function renormSchedule(step: number): RenormLimits {
  checkCount("renormSchedule", "step", step, 0);
  return { rMax: 1 + 2 * ramp(step, 5000, 40000), dMax: 5 * ramp(step, 5000, 25000) };
}
