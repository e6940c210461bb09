// What systemd has at $NOTIFY_SOCKET: a socket that takes datagrams, which Node cannot open, so a small Perl program has it.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

const PROGRAM = `
use strict; use warnings; use Socket qw(AF_UNIX SOCK_DGRAM pack_sockaddr_un);
$| = 1;
socket( my $socket, AF_UNIX, SOCK_DGRAM, 0 ) or die $!;
bind( $socket, pack_sockaddr_un( $ARGV[0] ) ) or die $!;
print "open\\n";
while ( defined recv( $socket, my $message, 65536, 0 ) ) { $message =~ s/\\n/\\t/g; print "$message\\n"; }
`;

export interface Notice {
  readonly atMs: number;
  /** READY, STATUS and others. */
  readonly [variable: string]: string | number;
}

export class NotifySocket {
  readonly notices: Notice[] = [];
  readonly path: string;
  readonly #program: ChildProcess;

  private constructor(path: string, program: ChildProcess) {
    this.path = path;
    this.#program = program;
  }

  static async open(path: string): Promise<NotifySocket> {
    const program = spawn("perl", ["-e", PROGRAM, path], { stdio: ["ignore", "pipe", "inherit"] });
    const opened = new NotifySocket(path, program);
    const lines = createInterface({ input: program.stdout });
    await once(lines, "line");
    lines.on("line", (line) => {
      const variables = line.split("\t").map((assignment) => assignment.split(/=(.*)/s, 2));
      opened.notices.push({ ...Object.fromEntries(variables), atMs: performance.now() });
    });
    return opened;
  }

  /** The newest value of a variable. */
  newest(variable: string): string | undefined {
    return this.notices.findLast((notice) => variable in notice)?.[variable]?.toString();
  }

  close(): void {
    this.#program.kill("SIGKILL");
  }
}
