// Whether this machine can carry the lab: root, the tools, and a kernel that makes namespaces, bridges and
// veth pairs. Where it cannot, the tests of the lab are skipped and say why.

import { spawnSync } from "node:child_process";

const TOOLS = ["ip", "bridge", "nft", "arping", "ping"];
const PATH = `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin`;

/** Why the lab cannot be built here, in words; false when it can. Made for the `skip` option of node:test. */
export function labIsMissing(): string | false {
  if (process.getuid?.() !== 0) return "the lab needs root: it is made of network namespaces";
  for (const tool of TOOLS) {
    const found = spawnSync("sh", ["-c", `command -v ${tool}`], { env: { PATH } });
    if (found.status !== 0) return `the lab needs ${tool}, which is not installed`;
  }
  const name = `vl-probe-${String(process.pid)}`;
  const attempts: readonly (readonly string[])[] = [
    ["netns", "add", name],
    ["-n", name, "link", "add", "bridge0", "type", "bridge"],
    ["-n", name, "link", "add", "left", "type", "veth", "peer", "name", "right"],
  ];
  try {
    for (const args of attempts) {
      const { status, stderr } = spawnSync("ip", args, { encoding: "utf8", env: { PATH } });
      if (status !== 0) return `this kernel does not let us run "ip ${args.join(" ")}": ${stderr.trim()}`;
    }
    return false;
  } finally {
    spawnSync("ip", ["netns", "del", name], { env: { PATH } });
  }
}
