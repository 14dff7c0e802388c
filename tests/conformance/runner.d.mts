export interface Case {
  file: string;
  op: string;
  name: string;
}
export interface Result {
  ok: boolean;
  output: string | null;
  message: string;
}
export function readCases(folder: string): Case[];
export function runCase(api: object, testCase: Case): Result[];
