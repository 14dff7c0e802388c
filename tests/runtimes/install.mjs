/** Installs the runtimes of package.json where they are not there. Their binaries come in packages, not by install scripts. */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

export function installRuntimes() {
  const here = fileURLToPath(new URL(".", import.meta.url));
  if (existsSync(`${here}node_modules/publint`)) return;
  // Without a lock file, whose list of every platform's optional packages `npm ci` wants whole, fetched or not.
  const args = ["install", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund"];
  execFileSync("npm", args, { cwd: here, stdio: ["ignore", "ignore", "inherit"] });
}
