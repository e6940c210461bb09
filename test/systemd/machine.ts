// One booted machine: a Debian with systemd as its first process, in the network namespace of a machine of the lab. It is
// switched on and off, its plug is pulled, and commands are run on it as if somebody were logged in as root.
//
//   image (read only)  <-- overlay --  root  <-- systemd-nspawn --boot --  the machine
//                           what it writes, in memory

import { execFile, execFileSync, spawn, spawnSync, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  closeSync,
  copyFileSync,
  mkdirSync,
  openSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { ipv4Of, type Machine as Place, type Network } from "../lab/network.ts";
import { waitUntil } from "../support/wait-until.ts";
import { makeControlGroup, removeControlGroup } from "./control-group.ts";
import type { Image } from "./image.ts";

const BOOT_WITHIN_MS = 30_000;
const SHUTDOWN_WITHIN_MS = 60_000;
const COMMAND_MS_MAX = 60_000;
const ENVIRONMENT = [
  "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  "HOME=/root",
  "LANG=C.UTF-8",
];
/** Units of the image that would only cost time. */
const MASKED = [
  "apt-daily.timer",
  "apt-daily-upgrade.timer",
  "dpkg-db-backup.timer",
  "e2scrub_all.timer",
  "console-getty.service",
  "systemd-networkd-wait-online.service",
];

export interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface MachineOptions {
  /** Its host name. */
  readonly name: string;
  /** Which machine of the lab's network it is. */
  readonly place: Place;
  readonly network: Network;
  readonly image: Image;
  /** For its layers and its console; in memory. */
  readonly folder: string;
}

/** up() makes it, boot() switches it on; down() removes every trace. */
export class Machine {
  readonly name: string;
  readonly place: Place;
  readonly #options: MachineOptions;
  readonly #group: string;
  #container: ChildProcess | undefined;
  /** Its first process, as pids are here. */
  #init: number | undefined;

  constructor(options: MachineOptions) {
    this.#options = options;
    this.name = options.name;
    this.place = options.place;
    this.#group = `vipair-${String(process.pid)}-${options.name}`;
  }

  /** The root of its file system, as it is seen from here. */
  get root(): string {
    return join(this.#options.folder, "root");
  }

  /** The same with what is mounted on it while it is on, such as /run. */
  get liveRoot(): string {
    if (this.#init === undefined) throw new Error(`${this.name} is off`);
    return `/proc/${String(this.#init)}/root`;
  }

  /** Lays its file system out. It is off. */
  up(): void {
    const { folder, image } = this.#options;
    const [root, upper, work] = ["root", "upper", "work"].map((name) => join(folder, name));
    for (const directory of [root, upper, work]) mkdirSync(directory ?? "", { recursive: true });
    const layers = `lowerdir=${image.folder},upperdir=${String(upper)},workdir=${String(work)}`;
    execFileSync("mount", ["-t", "overlay", "vipair-test", "-o", layers, String(root)]);
    this.write("etc/hostname", `${this.name}\n`);
    this.write("etc/hosts", `127.0.0.1 localhost\n${ipv4Of(this.place)} ${this.name}\n`);
    this.write("etc/machine-id", `${randomBytes(16).toString("hex")}\n`);
    this.write("etc/resolv.conf", "");
    this.write(
      "etc/systemd/network/10-eth0.network",
      `[Match]\nName=eth0\n[Network]\nAddress=${ipv4Of(this.place)}/24\nGateway=${ipv4Of("gateway")}\nLinkLocalAddressing=ipv6\nIPv6AcceptRA=no\n`,
    );
    this.#link(
      "/lib/systemd/system/systemd-networkd.service",
      "multi-user.target.wants/systemd-networkd.service",
    );
    for (const unit of MASKED) this.#link("/dev/null", unit);
  }

  /** Switches it on; resolves when systemd has started what it starts at boot. */
  async boot(): Promise<void> {
    const { network, place, folder } = this.#options;
    const groups = makeControlGroup(this.#group);
    const console = openSync(join(folder, "console.log"), "a");
    const enter = `for group in ${groups.join(" ")}; do echo $$ > $group; done; exec "$@"`;
    const nspawn = [
      "systemd-nspawn --boot --quiet --register=no --keep-unit --link-journal=no --console=read-only",
      "--resolv-conf=off --timezone=off --capability=CAP_NET_ADMIN",
      `--network-namespace-path=/run/netns/${network.namespace(place)}`,
      `--machine=${this.#group} --hostname=${this.name} --directory=${this.root}`,
    ].flatMap((words) => words.split(" "));
    const container = spawn("sh", ["-c", enter, "sh", ...nspawn], {
      stdio: ["ignore", console, console],
      // Sysctls of the network are the machine's own, as on a real one.
      env: { ...process.env, SYSTEMD_NSPAWN_API_VFS_WRITABLE: "network" },
    });
    closeSync(console);
    this.#container = container;
    await waitUntil(
      async () => {
        if (container.exitCode !== null) throw new Error(`${this.name} did not boot:\n${this.console()}`);
        this.#init = childOf(container.pid);
        if (this.#init === undefined) return false;
        const { stdout } = await this.attempt("systemctl", "is-system-running");
        return ["running", "degraded"].includes(stdout.trim());
      },
      { what: `${this.name} to boot`, withinMs: BOOT_WITHIN_MS, everyMs: 50 },
    );
  }

  /** As `poweroff` does it: services are stopped in order. */
  async shutDown(): Promise<void> {
    await this.attempt("systemctl", "poweroff", "--no-block");
    await this.#isOff(SHUTDOWN_WITHIN_MS);
  }

  /** The plug is pulled: all of its processes are gone at once. Its addresses go with `takeAddresses` of the network. */
  async cutPower(): Promise<void> {
    if (this.#init !== undefined) kill(this.#init);
    await this.#isOff(SHUTDOWN_WITHIN_MS);
  }

  async #isOff(withinMs: number): Promise<void> {
    const container = this.#container;
    if (container === undefined) return;
    await waitUntil(() => container.exitCode !== null || container.signalCode !== null, {
      what: `${this.name} to be off`,
      withinMs,
    });
    this.#container = undefined;
    this.#init = undefined;
    removeControlGroup(this.#group);
  }

  get isOn(): boolean {
    return this.#init !== undefined;
  }

  /** Works at any time, also while this process ends. */
  down(): void {
    if (this.#init !== undefined) kill(this.#init);
    if (this.#container?.pid !== undefined) kill(this.#container.pid);
    removeControlGroup(this.#group);
    // Lazily: the kernel has not quite ended what was killed.
    spawnSync("umount", ["--lazy", this.root]);
  }

  // ------------------------------------------------------------ what a person does on it

  /** Runs a command as root; resolves to what it printed. Rejects with all that it said when it fails. */
  async run(command: string, ...args: readonly string[]): Promise<string> {
    const { status, stdout, stderr } = await this.attempt(command, ...args);
    if (status === 0) return stdout;
    throw new Error(
      `${this.name}: ${[command, ...args].join(" ")} ended with ${String(status)}: ${stderr}${stdout}`,
    );
  }

  /** As `run`, for commands that may fail. */
  attempt(command: string, ...args: readonly string[]): Promise<Outcome> {
    return new Promise((resolve) => {
      const limits = { timeout: COMMAND_MS_MAX, maxBuffer: 16 * 1024 * 1024 };
      const child = execFile("nsenter", this.#argv([command, ...args]), limits, (error, stdout, stderr) => {
        resolve({ status: error === null ? 0 : child.exitCode, stdout, stderr });
      });
      child.stdin?.end();
    });
  }

  /** Starts a command that the test talks to. */
  start(command: string, ...args: readonly string[]): ChildProcess {
    return spawn("nsenter", this.#argv([command, ...args]), { stdio: ["pipe", "pipe", "pipe"] });
  }

  #argv(command: readonly string[]): string[] {
    if (this.#init === undefined) throw new Error(`${this.name} is off`);
    return [
      "--target",
      String(this.#init),
      "--all",
      "env",
      "--chdir=/",
      "--ignore-environment",
      ...ENVIRONMENT,
      ...command,
    ];
  }

  /** A property of a unit, as `systemctl show` tells it. */
  async property(unit: string, name: string): Promise<string> {
    return (await this.run("systemctl", "show", "--value", "--property", name, unit)).trim();
  }

  async isActive(unit: string): Promise<boolean> {
    return (await this.attempt("systemctl", "is-active", "--quiet", unit)).status === 0;
  }

  /** Sends a signal to a process by its pid on the machine. */
  async signal(signal: string, pid: string): Promise<void> {
    await this.run("kill", "-s", signal, pid);
  }

  // ------------------------------------------------------------ its files

  /** Puts a file of ours into the home of root. Returns its path on the machine. */
  copyIn(file: string): string {
    const path = join("/root", basename(file));
    copyFileSync(file, join(this.root, path));
    return path;
  }

  write(path: string, text: string): void {
    writeFileSync(join(this.root, path), text);
  }

  read(path: string): string {
    return readFileSync(join(this.root, path), "utf8");
  }

  #link(target: string, unit: string): void {
    const path = join(this.root, "etc/systemd/system", unit);
    mkdirSync(join(path, ".."), { recursive: true });
    symlinkSync(target, path);
  }

  // ------------------------------------------------------------ for people

  console(): string {
    return readFileSync(join(this.#options.folder, "console.log"), "utf8").split("\n").slice(-40).join("\n");
  }

  async journal(lines = 60): Promise<string> {
    if (!this.isOn) return `${this.name} is off`;
    const { stdout } = await this.attempt(
      "journalctl",
      "--no-pager",
      "-o",
      "short-precise",
      "-n",
      String(lines),
    );
    return `--- ${this.name}\n${stdout}`;
  }
}

function childOf(pid: number | undefined): number | undefined {
  const [child] = readFileSync(`/proc/${String(pid)}/task/${String(pid)}/children`, "utf8").split(" ");
  if (child === undefined || child === "") return undefined;
  // Before that it is still on its way to become the first process.
  return readFileSync(`/proc/${child}/comm`, "utf8").trim() === "systemd" ? Number(child) : undefined;
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // Has ended by itself.
  }
}
