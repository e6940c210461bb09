// scripts/install.sh on this very machine, which keeps nothing of it: its folders are laid over with layers in memory, in a mount namespace of the test.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";

const ROOT = join(import.meta.dirname, "../..");
const WITHIN_MS = 300_000;

/** A machine without a running systemd, as a container or a chroot is. */
const MACHINE = `
set -eu
layers=/mnt
mount -t tmpfs none $layers
for folder in usr etc var; do
  mkdir $layers/$folder $layers/$folder.work
  mount -t overlay none -o lowerdir=/$folder,upperdir=$layers/$folder,workdir=$layers/$folder.work /$folder
done
mount -t tmpfs none /run
# Settings of the kernel have no layers.
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
# The Debian of the booted machines may be in the making meanwhile.
files() { find /usr /etc /var -xdev ! -path '/var/log/*' ! -path '/var/cache/vipair-test*' | sort; }
cd "$1"
`;

function onMachine(commands: string): { readonly status: number | null; readonly output: string } {
  const { status, stdout, stderr } = spawnSync(
    "unshare",
    ["--mount", "sh", "-c", `${MACHINE}${commands}`, "sh", ROOT],
    {
      encoding: "utf8",
      timeout: WITHIN_MS,
    },
  );
  return { status, output: `${stdout}${stderr}` };
}

function isImpossible(): string | false {
  if (process.getuid?.() !== 0) return "needs root";
  return onMachine("exit 0").status === 0 ? false : "this machine cannot lay folders over";
}

test(
  "install.sh installs a vipair that waits for a configuration, and --uninstall undoes it",
  { skip: isImpossible() },
  () => {
    const { status, output } = onMachine(`
    files >$layers/before
    scripts/install.sh >&2
    vipair --version
    [ "$(stat -c %U:%a /var/log/vipair)" = vipair:2750 ]
    [ -L /etc/systemd/system/multi-user.target.wants/vipair.service ]
    if vipair check; then exit 1; fi
    # Once more is an upgrade, and nobody's configuration is touched by it.
    echo 'workers: 1' >>/etc/vipair/vipair.yaml
    echo old >/usr/lib/vipair/dist/old.js; echo usr/lib/vipair/dist/old.js >>/usr/lib/vipair/.installed
    scripts/install.sh >&2
    [ ! -e /usr/lib/vipair/dist/old.js ]
    tail -n 1 /etc/vipair/vipair.yaml
    scripts/install.sh --uninstall
    [ ! -e /usr/bin/vipair ] && [ ! -e /usr/lib/vipair ]
    grep -c workers /etc/vipair/vipair.yaml
    # What it leaves is what people have written, until they say that that shall go as well.
    scripts/install.sh >&2
    scripts/install.sh --uninstall --purge
    files | diff $layers/before - && echo nothing is left`);
    assert.equal(status, 0, output);
    assert.match(output, /not configured: run 'sudo vipair init'/);
    assert.match(output, /workers: 1\n1\n/);
    assert.match(output, /nothing is left/);
  },
);

test("install.sh says what it cannot do", () => {
  const usage = spawnSync(join(ROOT, "scripts/install.sh"), ["--purge"], { encoding: "utf8" });
  assert.deepEqual([usage.status, usage.stderr], [2, "usage: scripts/install.sh [--uninstall [--purge]]\n"]);
  if (isImpossible() === false) {
    const nothing = onMachine("exec scripts/install.sh --uninstall");
    assert.deepEqual(nothing, { status: 1, output: "nothing was installed by install.sh\n" });
  }
});

test(
  "install.sh names the packages that are missing before it changes anything",
  { skip: isImpossible() },
  () => {
    const { status, output } = onMachine(`
    for folder in /usr/bin /usr/sbin; do rm -f $folder/arping $folder/ping; done
    files >$layers/before
    ! scripts/install.sh || exit 1
    files | diff $layers/before - && echo nothing was changed`);
    assert.equal(status, 0, output);
    assert.match(output, /^vipair needs programs .*: sudo apt install iputils-arping iputils-ping$/m);
    assert.match(output, /nothing was changed/);
  },
);

test("an installation that was cut off can be undone", { skip: isImpossible() }, () => {
  const { status, output } = onMachine(`
    files >$layers/before
    # What copies the files is cut off when it has copied them.
    mkdir $layers/bin
    printf '#!/bin/sh\\ncase $1 in --extract) /usr/bin/tar "$@"; kill -9 $PPID ;; *) exec /usr/bin/tar "$@" ;; esac\\n' >$layers/bin/tar
    chmod +x $layers/bin/tar
    ! PATH=$layers/bin:$PATH scripts/install.sh || exit 1
    [ -e /usr/bin/vipair ]
    scripts/install.sh --uninstall --purge
    files | diff $layers/before - && echo nothing is left`);
  assert.equal(status, 0, output);
  assert.match(output, /nothing is left/);
});
