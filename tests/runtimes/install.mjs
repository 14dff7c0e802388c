/** Installs the runtimes of package.json where they are not there. Their binaries come in packages, not by install scripts. */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

export function installRuntimes() {
  const here = fileURLToPath(new URL(".", import.meta.url));
  if (existsSync(`${here}node_modules/publint`)) return;
  const args = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
  execFileSync("npm", args, { cwd: here, stdio: ["ignore", "ignore", "inherit"] });
}
