// Each mistake in what a node watches about itself and whom it tells, one a row: what is changed in a good file, and the error for it.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { changed, errorsOf, expectEach, PAIR_YAML } from "./pair-yaml.ts";

describe("tracked checks", () => {
  expectEach(PAIR_YAML, [
    [
      "  secret:",
      "  track: [dns]\n  secret:",
      '5:11  pair.track[0]: "dns" is text. Write a map of settings (name, exec, tcp, http …).',
    ],
    [
      "  secret:",
      "  track: [{ name: a, weight: 1 }]\n  secret:",
      "5:11  pair.track[0]: Nothing is checked. Add exec: PROGRAM, tcp: ADDRESS:PORT, or http: URL.",
    ],
    [
      "  secret:",
      "  track: [{ name: a, kind: tcp, weight: 1 }]\n  secret:",
      "5:22  pair.track[0].kind: Unknown key. Write exec, tcp or http in its place, such as tcp: 127.0.0.1:53.",
    ],
    [
      "  secret:",
      "  track: [{ name: a, tcp: 127.0.0.1:53, http: 'http://127.0.0.1/', weight: 1 }]\n  secret:",
      "5:41  pair.track[0].http: There is tcp as well. A check has one of them; write another check for this one.",
    ],
    [
      "  secret:",
      "  track: [{ name: a, tcp: 127.0.0.1:53 }]\n  secret:",
      "5:11  pair.track[0]: The check has no effect. Add weight: 1 to 253, by which the priority falls, or fault: true.",
    ],
    [
      "  secret:",
      "  track: [{ name: a, exec: x, fall: 3 }]\n  secret:",
      "5:11  pair.track[0]: The check has no effect. Add weight: 1 to 253, by which the priority falls, or fault: true.",
    ],
    [
      "  secret:",
      "  track: [{ name: a, script: x, weight: 1 }]\n  secret:",
      "5:22  pair.track[0].script: Unknown key. Known here: name, exec, tcp, http, interval, timeout, rise, fall, weight, fault.",
    ],
    [
      "  secret:",
      "  track: [{ name: a, exec: x, penalty: 1 }]\n  secret:",
      "5:31  pair.track[0].penalty: Unknown key. Known here: name, exec, tcp, http, interval, timeout, rise, fall, weight, fault.",
    ],
    [
      "  secret:",
      '  track: [{ name: a, exec: [x, "a\\0b"], weight: 1 }]\n  secret:',
      "5:32  pair.track[0].exec[1]: A NUL character cannot stand here. Leave it out.",
    ],
    [
      "  secret:",
      "  track: [{ name: a, tcp: 127.0.0.1:53, weight: 1, fault: true }]\n  secret:",
      "5:52  pair.track[0].fault: There is a weight as well. Keep one of the two.",
    ],
    [
      "  secret:",
      "  track: [{ name: a, tcp: 127.0.0.1:53, fault: false }]\n  secret:",
      "5:48  pair.track[0].fault: false has no meaning here. Write fault: true, or a weight in its place.",
    ],
    [
      "  secret:",
      "  track: [{ name: a, tcp: 127.0.0.1:53, fault: false, weight: 3 }]\n  secret:",
      "5:48  pair.track[0].fault: false has no meaning here. Write fault: true, or a weight in its place.",
    ],
    [
      "  secret:",
      "  track: [{ name: a, tcp: 127.0.0.1:53, weight: 254 }]\n  secret:",
      "5:49  pair.track[0].weight: 254 is not a weight. Use 1 to 253.",
    ],
    [
      "  secret:",
      "  track: [{ name: a, tcp: 127.0.0.1:53, weight: 0 }]\n  secret:",
      "5:49  pair.track[0].weight: 0 is not a weight. Use 1 to 253.",
    ],
    [
      "  secret:",
      "  track: [{ name: a, tcp: 127.0.0.1:53, weight: -20 }]\n  secret:",
      "5:49  pair.track[0].weight: -20 is not a weight. Use 1 to 253.",
    ],
    [
      "  secret:",
      "  track: [{ tcp: 127.0.0.1:53, weight: 1 }]\n  secret:",
      "5:11  pair.track[0].name: Missing. Write a name, such as web.",
    ],
    [
      "  secret:",
      "  track: [{ name: a b, tcp: 127.0.0.1:53, weight: 1 }]\n  secret:",
      '5:19  pair.track[0].name: "a b" is not a name. Use up to 64 letters, digits, ".", "_" and "-", the first a letter or digit.',
    ],
    [
      "  secret:",
      "  track: [{ name: a, tcp: 127.0.0.1:53, weight: 1 }, { name: a, tcp: 127.0.0.1:54, weight: 1 }]\n  secret:",
      '5:62  pair.track[1].name: "a" is pair.track[0].name already. Use another name.',
    ],
    [
      "  secret:",
      "  track: [{ name: a, tcp: 53, weight: 1 }]\n  secret:",
      "5:27  pair.track[0].tcp: 53 is a number. Write address and port, such as 127.0.0.1:53.",
    ],
    [
      "  secret:",
      "  track: [{ name: a, tcp: 127.0.0.1, weight: 1 }]\n  secret:",
      '5:27  pair.track[0].tcp: "127.0.0.1" has no port. Write address and port, such as 127.0.0.1:53.',
    ],
    [
      "  secret:",
      "  track: [{ name: a, tcp: 0.0.0.0:53, weight: 1 }]\n  secret:",
      '5:27  pair.track[0].tcp: "0.0.0.0" means every address. Use one, such as 127.0.0.1.',
    ],
    [
      "  secret:",
      "  track: [{ name: a, tcp: 192.168.1.50:80, weight: 1 }]\n  secret:",
      '5:27  pair.track[0].tcp: "192.168.1.50" moves between the nodes: it is virtualAddresses[0].address. Each node checks itself; use 127.0.0.1, say.',
    ],
    [
      "  secret:",
      "  track: [{ name: a, http: 'http://192.168.1.50/', weight: 1 }]\n  secret:",
      '5:28  pair.track[0].http: "192.168.1.50" moves between the nodes: it is virtualAddresses[0].address. Each node checks itself; use 127.0.0.1, say.',
    ],
    [
      "  secret:",
      "  track: [{ name: a, http: 127.0.0.1:80, weight: 1 }]\n  secret:",
      '5:28  pair.track[0].http: "127.0.0.1:80" is not a URL. Write one, such as http://127.0.0.1:8080/health.',
    ],
    [
      "  secret:",
      "  track: [{ name: a, http: 'https://127.0.0.1', weight: 1 }]\n  secret:",
      "5:28  pair.track[0].http: Only http:// is asked, not https://. Use exec with a program that asks.",
    ],
    [
      "  secret:",
      "  track: [{ name: a, http: 'http://me:pw@127.0.0.1', weight: 1 }]\n  secret:",
      "5:28  pair.track[0].http: A URL with a name and a password is not asked. Use exec.",
    ],
    [
      "  secret:",
      "  track: [{ name: a, http: 'http://127.0.0.1:99999/', weight: 1 }]\n  secret:",
      '5:28  pair.track[0].http: "99999" is not a port. Use 1 to 65535.',
    ],
    [
      "  secret:",
      "  track: [{ name: a, http: 'http://a b/', weight: 1 }]\n  secret:",
      '5:28  pair.track[0].http: "a b" is neither an IP address nor a host name. Use one, such as http://127.0.0.1:8080/health.',
    ],
    [
      "  secret:",
      "  track: [{ name: a, http: 'http://a/b c', weight: 1 }]\n  secret:",
      '5:28  pair.track[0].http: "/b c" has characters that a path cannot have. Percent-encode them, such as %20 for a space.',
    ],
    [
      "  secret:",
      "  track: [{ name: a, exec: pgrep named, weight: 1 }]\n  secret:",
      '5:28  pair.track[0].exec: "pgrep named" has spaces, and there is no shell to part them. Write a list: [pgrep, named].',
    ],
    [
      "  secret:",
      "  track: [{ name: a, exec: [], weight: 1 }]\n  secret:",
      "5:22  pair.track[0].exec: The list is empty. Write the path of a program, or a list of program and arguments, such as [/usr/bin/pgrep, named].",
    ],
    [
      "  secret:",
      "  track: [{ name: a, exec: [''], weight: 1 }]\n  secret:",
      "5:29  pair.track[0].exec[0]: Write the path of a file.",
    ],
    [
      "  secret:",
      "  track: [{ name: a, exec: [x, 80], weight: 1 }]\n  secret:",
      "5:32  pair.track[0].exec[1]: 80 is a number. Write a text; a number in quotes.",
    ],
    [
      "  secret:",
      "  track: [{ name: a, exec: { command: x }, weight: 1 }]\n  secret:",
      "5:22  pair.track[0].exec: This is a map. Write the path of a program, or a list of program and arguments, such as [/usr/bin/pgrep, named].",
    ],
    [
      "  secret:",
      "  track: [{ name: a, exec: '', weight: 1 }]\n  secret:",
      "5:28  pair.track[0].exec: Write the path of a file.",
    ],
    [
      "  secret:",
      "  track: [{ name: a, tcp: 127.0.0.1:53, weight: 1, timeout: 2s }]\n  secret:",
      "5:61  pair.track[0].timeout: The timeout (2s) is longer than the interval (1s). Lower the timeout, or check less often.",
    ],
    [
      "  secret:",
      "  track: [{ name: a, tcp: 127.0.0.1:53, weight: 1, interval: 500ms }]\n  secret:",
      "5:62  pair.track[0].interval: The timeout (1s) is longer than the interval (500ms). Lower the timeout, or check less often.",
    ],
    [
      "  secret:",
      "  track: [{ name: a, tcp: 127.0.0.1:53, wieght: 1 }]\n  secret:",
      '5:41  pair.track[0].wieght: Unknown key. Did you mean "weight"?',
    ],
    [
      "  secret:",
      "  track: [{ name: a, exce: x, weight: 1 }]\n  secret:",
      '5:22  pair.track[0].exce: Unknown key. Did you mean "exec"?',
    ],
    [
      "  secret:",
      "  track: [{ name: a, tcp: 127.0.0.1:53, weight: 1, rise: 0 }]\n  secret:",
      "5:58  pair.track[0].rise: 0 is not possible here. Use 1 to 100.",
    ],
    [
      "  secret:",
      "  track: [{ name: a, tcp: 127.0.0.1:53, weight: 1, fall: 101 }]\n  secret:",
      "5:58  pair.track[0].fall: 101 is not possible here. Use 1 to 100.",
    ],
    [
      "  secret:",
      "  track: [{ name: a, tcp: 127.0.0.1:53, weight: 60, interval: 50ms, timeout: 50ms }]\n  secret:",
      '5:63  pair.track[0].interval: "50ms" is too small. Use 100ms to 1h.',
    ],
  ]);
});

const errorsWith = (check: string): readonly string[] =>
  errorsOf(changed(PAIR_YAML, ["  secret:", `  track: [${check}]\n  secret:`]));

describe("tracked checks, with more than one mistake or a long one", () => {
  test("each further kind of one check is a mistake", () => {
    assert.deepEqual(errorsWith("{ name: a, exec: x, tcp: 127.0.0.1:53, http: 'http://a/', weight: 1 }"), [
      "5:31  pair.track[0].tcp: There is exec as well. A check has one of them; write another check for this one.",
      "5:50  pair.track[0].http: There is exec as well. A check has one of them; write another check for this one.",
    ]);
  });

  test("an empty program does not hide a wrong argument", () => {
    assert.deepEqual(errorsWith('{ name: a, exec: ["", 80, "\\0"], weight: 1 }'), [
      "5:29  pair.track[0].exec[0]: Write the path of a file.",
      "5:33  pair.track[0].exec[1]: 80 is a number. Write a text; a number in quotes.",
      "5:37  pair.track[0].exec[2]: A NUL character cannot stand here. Leave it out.",
    ]);
  });

  test("a misspelt effect does not stand for the kind that is missing", () => {
    assert.deepEqual(errorsWith("{ name: a, wieght: 1 }"), [
      "5:11  pair.track[0]: Nothing is checked. Add exec: PROGRAM, tcp: ADDRESS:PORT, or http: URL.",
      '5:22  pair.track[0].wieght: Unknown key. Did you mean "weight"?',
    ]);
  });

  test("one unknown key stands for the kind or for the effect, not for both", () => {
    assert.deepEqual(errorsWith("{ name: a, script: x }"), [
      "5:11  pair.track[0]: The check has no effect. Add weight: 1 to 253, by which the priority falls, or fault: true.",
      "5:22  pair.track[0].script: Unknown key. Known here: name, exec, tcp, http, interval, timeout, rise, fall, weight, fault.",
    ]);
  });

  for (const [what, check] of [
    ["program with spaces", `exec: ${"long ".repeat(2000)}`],
    ["scheme", `http: ${"x".repeat(10_000)}://a`],
    ["text in place of a number", `tcp: 127.0.0.1:53, rise: ${"x".repeat(10_000)}`],
  ] as const) {
    test(`a ${what} of 10,000 characters is cut in the message`, () => {
      const [error = "", ...others] = errorsWith(`{ name: a, ${check}, weight: 1 }`);
      assert.deepEqual(others, []);
      assert.match(error, /…/);
      assert.ok(error.length < 300, error);
    });
  }
});

describe("vitals", () => {
  expectEach(PAIR_YAML, [
    [
      "  secret:",
      "  vitals: false\n  secret:",
      "5:11  pair.vitals: false is true or false. Write a map of settings (interval, temperature, memory, disk …).",
    ],
    [
      "  secret:",
      "  vitals: { temperature: 80 }\n  secret:",
      "5:26  pair.vitals.temperature: 80 is a number. Write a map of settings (above, weight).",
    ],
    [
      "  secret:",
      "  vitals: { temperature: { above: 80C } }\n  secret:",
      '5:35  pair.vitals.temperature.above: "80C" is text. Write a whole number, 30 to 120.',
    ],
    [
      "  secret:",
      "  vitals: { temperature: { above: 29 } }\n  secret:",
      "5:35  pair.vitals.temperature.above: 29 is not possible here. Use 30 to 120.",
    ],
    [
      "  secret:",
      "  vitals: { temperature: { above: 121 } }\n  secret:",
      "5:35  pair.vitals.temperature.above: 121 is not possible here. Use 30 to 120.",
    ],
    [
      "  secret:",
      "  vitals: { memory: { above: 90% } }\n  secret:",
      '5:30  pair.vitals.memory.above: "90%" is text. Write a whole number, 50 to 100.',
    ],
    [
      "  secret:",
      "  vitals: { memory: { above: 49 } }\n  secret:",
      "5:30  pair.vitals.memory.above: 49 is not possible here. Use 50 to 100.",
    ],
    [
      "  secret:",
      "  vitals: { disk: { above: 101 } }\n  secret:",
      "5:28  pair.vitals.disk.above: 101 is not possible here. Use 50 to 100.",
    ],
    [
      "  secret:",
      "  vitals: { disk: { weight: 254 } }\n  secret:",
      "5:29  pair.vitals.disk.weight: 254 is not a weight. Use 0 to 253.",
    ],
    [
      "  secret:",
      "  vitals: { disk: { weight: -1 } }\n  secret:",
      "5:29  pair.vitals.disk.weight: -1 is not a weight. Use 0 to 253.",
    ],
    [
      "  secret:",
      "  vitals: { interval: 10 }\n  secret:",
      "5:23  pair.vitals.interval: 10 is a number. Write a duration with a unit, such as 5s.",
    ],
    [
      "  secret:",
      "  vitals: { interval: 100ms }\n  secret:",
      '5:23  pair.vitals.interval: "100ms" is too small. Use 1s to 1h.',
    ],
    [
      "  secret:",
      "  vitals: { undervoltage: { weight: 5 } }\n  secret:",
      '5:13  pair.vitals.undervoltage: Unknown key. Did you mean "underVoltage"?',
    ],
    [
      "  secret:",
      "  vitals: { underVoltage: { above: 5 } }\n  secret:",
      "5:29  pair.vitals.underVoltage.above: Unknown key. Known here: weight.",
    ],
    [
      "  secret:",
      "  vitals: { temp: { above: 70 } }\n  secret:",
      '5:13  pair.vitals.temp: Unknown key. Did you mean "temperature"?',
    ],
    [
      "  secret:",
      "  vitals: { cpu: { above: 70 } }\n  secret:",
      "5:13  pair.vitals.cpu: Unknown key. Known here: interval, temperature, memory, disk, underVoltage.",
    ],
  ]);
});

describe("notify hooks and damping", () => {
  expectEach(PAIR_YAML, [
    [
      "  secret:",
      "  notify: /bin/true\n  secret:",
      '5:11  pair.notify: "/bin/true" is text. Write a map of settings (on-active, on-standby, on-fault).',
    ],
    [
      "  secret:",
      "  notify: { onActive: /bin/true }\n  secret:",
      '5:13  pair.notify.onActive: Unknown key. Did you mean "on-active"?',
    ],
    [
      "  secret:",
      "  notify: { active: /bin/true }\n  secret:",
      '5:13  pair.notify.active: Unknown key. Did you mean "on-active"?',
    ],
    [
      "  secret:",
      "  notify: { on-backup: /bin/true }\n  secret:",
      "5:13  pair.notify.on-backup: Unknown key. Known here: on-active, on-standby, on-fault.",
    ],
    [
      "  secret:",
      "  notify: { on-active: /bin/mail -s x root }\n  secret:",
      '5:24  pair.notify.on-active: "/bin/mail -s x root" has arguments. Write the path of the file alone: what happened is in its environment.',
    ],
    [
      "  secret:",
      "  notify: { on-active: '' }\n  secret:",
      "5:24  pair.notify.on-active: Write the path of a file.",
    ],
    [
      "  secret:",
      "  notify: { on-active: [/bin/true] }\n  secret:",
      "5:13  pair.notify.on-active: This is a list. Write the path of a file.",
    ],
    [
      "  secret:",
      "  roleChangesPerMinute: 0\n  secret:",
      "5:25  pair.roleChangesPerMinute: 0 is not possible here. Use 1 to 1000.",
    ],
    [
      "  secret:",
      "  roleChangesPerMinute: 4/m\n  secret:",
      '5:25  pair.roleChangesPerMinute: "4/m" is text. Write a whole number, 1 to 1000.',
    ],
  ]);
});
