import { Lab } from "./lab.ts";
import { VIP } from "./lab-config.ts";
import { readFileSync } from "node:fs";
import { spawnSync } from "node:child_process";
const seconds = Number(process.argv[2]);
const how = "";
const labs = { "200": new Lab(), "50": new Lab({ pair: "  advertisementInterval: 50ms" }) };
try {
  for (const l of Object.values(labs)) await l.up();
  for (const l of Object.values(labs)) await l.settle();
  const pids: Record<string, number> = {};
  for (const [i, l] of Object.entries(labs))
    for (const n of ["a", "b"] as const) pids[`${i}${n}`] = l.nodes[n].controlPid()!;
  if (how.includes("rt"))
    for (const p of Object.values(pids))
      console.log(spawnSync("chrt", ["-r", "-p", "1", String(p)], { encoding: "utf8" }).stderr);
  console.log(
    spawnSync(
      "sh",
      [
        "-c",
        `for p in ${Object.values(pids).join(" ")}; do cat /proc/$p/autogroup; ps -o pid,ni,cls,sid -p $p; done`,
      ],
      { encoding: "utf8" },
    ).stdout,
  );
  const start = performance.now();
  for (const l of Object.values(labs))
    l.network.spawn("client", [process.execPath, "test/lab/load.ts", VIP, "32", String(seconds)], {
      stdio: "inherit",
    });
  const last: Record<string, number[]> = {};
  const max: Record<string, number> = {};
  const sampler = `
import time,sys,collections
pids=dict(p.split("=") for p in sys.argv[2:])
end=time.time()+float(sys.argv[1])
agg=collections.Counter(); run={}
while time.time()<end:
    time.sleep(0.01)
    for n,p in pids.items():
        try:
            st=open(f"/proc/{p}/stat").read().rsplit(")",1)[1].split()[0]
            stack=[l.split("] ")[1].split("+")[0] for l in open(f"/proc/{p}/stack").read().splitlines()][:6]
        except Exception as e: continue
        key=st+" "+"<".join(stack)
        if "ep_poll" in key: key="idle"
        agg[(n,key)]+=1
        if key!="idle":
            run.setdefault(n,[time.time(),collections.Counter()])[1][key]+=1
        else:
            r=run.pop(n,None)
            if r and time.time()-r[0]>0.08: print(f"{time.strftime('%H:%M:%S')} {n} {1000*(time.time()-r[0]):.0f} ms not idle", r[1].most_common(3))
for k,v in agg.most_common(25): print(v,k)
`;
  const out = spawnSync(
    "chrt",
    [
      "-f",
      "50",
      "python3",
      "-c",
      sampler,
      String(seconds),
      ...Object.entries(pids).map(([n, p]) => `${n}=${p}`),
    ],
    { encoding: "utf8" },
  );
  console.log(out.stdout, out.stderr);
  for (const [i, l] of Object.entries(labs))
    for (const n of ["a", "b"] as const)
      console.log(
        i,
        n,
        l
          .logOf(n)
          .filter((x) => /stalled|claiming|failed|may have/.test(x))
          .map((x) => x.slice(30, 42) + x.slice(46, 260))
          .join("\n"),
      );
} finally {
  for (const l of Object.values(labs)) await l.down();
}
