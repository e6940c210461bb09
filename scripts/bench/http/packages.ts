// The npm packages that vipair is compared with. They are no dependencies of the project: the benchmark installs
// these versions into a folder of the user's cache, once.

import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

const PACKAGES = {
  "@fastify/http-proxy": "11.6.3",
  fastify: "5.12.8",
  "http-proxy": "1.18.1",
  httpxy: "0.5.6",
  pino: "10.4.0",
};

/** The version of a package, for the report. */
export function versionOf(name: string): string {
  return (PACKAGES as Readonly<Record<string, string>>)[name] ?? "";
}

/** The folder whose node_modules has them all. */
export function installPackages(): string {
  const versions = Object.values(PACKAGES).join("_");
  const folder = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "vipair-bench", versions);
  const isInstalled = Object.keys(PACKAGES).every((name) => existsSync(join(folder, "node_modules", name)));
  if (isInstalled) return folder;
  console.error(`Installing the packages to compare with into ${folder}`);
  mkdirSync(folder, { recursive: true });
  const manifest = { name: "vipair-bench", private: true, type: "module", dependencies: PACKAGES };
  writeFileSync(join(folder, "package.json"), JSON.stringify(manifest));
  execFileSync("npm", ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: folder,
    stdio: ["ignore", 2, 2],
  });
  return folder;
}
