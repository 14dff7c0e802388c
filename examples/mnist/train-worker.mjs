/** A thread that trains one network and sends its evaluations to the main thread. */
import { parentPort, workerData } from "node:worker_threads";
import { train } from "./train.mjs";

train({ ...workerData, onEvaluation: (evaluation) => parentPort.postMessage(evaluation) });
