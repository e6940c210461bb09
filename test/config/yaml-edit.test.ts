// Edits of a configuration's text: what was meant is there, and everything else is where it was, byte for byte.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { editYaml } from "../../src/config/yaml-edit.ts";
import type { NewValue, YamlEdit } from "../../src/config/yaml-edit.ts";
import { readYaml } from "../../src/config/yaml-source.ts";

const BACKENDS = ["pools", "web", "backends"];

const append = (value: NewValue = "new:80"): YamlEdit => ({ kind: "append", to: BACKENDS, value });
const remove = (index: number): YamlEdit => ({ kind: "remove", at: [...BACKENDS, index] });

function edited(text: string, edit: YamlEdit): string {
  const result = editYaml(text, edit);
  assert.equal(result.kind, "edited", JSON.stringify(result));
  return result.kind === "edited" ? result.text : "";
}

/** Each row: what is edited, before and after. */
function expectEdits(
  rows: readonly (readonly [name: string, edit: YamlEdit, before: string, after: string])[],
) {
  for (const [name, edit, before, after] of rows) {
    test(name, () => {
      assert.equal(edited(before, edit), after);
    });
    test(`${name}, with the line ends of Windows`, () => {
      assert.equal(edited(before.replaceAll("\n", "\r\n"), edit), after.replaceAll("\n", "\r\n"));
    });
  }
}

describe("an item that is added to a list", () => {
  expectEdits([
    [
      "stands behind the last one, in its column, and no comment moves",
      append(),
      `# top

pools:   # the pools
    web: # one
        backends:    # who answers
            # first
            - a:80   # number one

            # second
            - b:80   # number two
            # the end of the list
        # the end of the pool
# the end

workers: auto   # all of them
`,
      `# top

pools:   # the pools
    web: # one
        backends:    # who answers
            # first
            - a:80   # number one

            # second
            - b:80   # number two
            - new:80
            # the end of the list
        # the end of the pool
# the end

workers: auto   # all of them
`,
    ],
    [
      "stands behind one of many lines",
      append({ name: "big", address: "new:80", weight: 3 }),
      `pools:
  web:
    backends:
    - a:80
    - name: b   # its name
      # its address
      address: b:80 # here
      health: { path: /b }   # more
    health: { kind: http }
`,
      `pools:
  web:
    backends:
    - a:80
    - name: b   # its name
      # its address
      address: b:80 # here
      health: { path: /b }   # more
    - { name: big, address: new:80, weight: 3 }
    health: { kind: http }
`,
    ],
    [
      "stands at the end of a file that ends without a line break",
      append(),
      "pools:\n  web:\n    backends:\n      - a:80 # last",
      "pools:\n  web:\n    backends:\n      - a:80 # last\n      - new:80",
    ],
    [
      "stands in the brackets of a list in one line",
      append(),
      'pools: { web: { backends: [ a:80,  "b:80" ], health: { kind: none } } } # all in one\n',
      'pools: { web: { backends: [ a:80,  "b:80", new:80 ], health: { kind: none } } } # all in one\n',
    ],
    [
      "fills a list that was empty",
      append(),
      "pools:\n  web:\n    backends: []   # none yet\n",
      "pools:\n  web:\n    backends: [new:80]   # none yet\n",
    ],
    [
      "gets a line of its own in brackets that have one for each",
      append(),
      `pools:
  web:
    backends: [
      a:80, # one
      b:80  # two
      # end
    ]
`,
      `pools:
  web:
    backends: [
      a:80, # one
      b:80,  # two
      new:80
      # end
    ]
`,
    ],
    [
      "gets a comma as the others have one",
      append(),
      "pools:\n  web:\n    backends: [\n      a:80, # one\n    ]\n",
      "pools:\n  web:\n    backends: [\n      a:80, # one\n      new:80,\n    ]\n",
    ],
    [
      "is in quotes where YAML would read it otherwise",
      append("[fd00::21]:8080"),
      "pools:\n  web:\n    backends:\n      - a:80\n",
      'pools:\n  web:\n    backends:\n      - a:80\n      - "[fd00::21]:8080"\n',
    ],
  ]);

  test("leaves JSON what it is", () => {
    const value = { pools: { web: { backends: ["a:80"], health: { kind: "none" } } } };
    const text = edited(JSON.stringify(value, null, 2), append("[::1]:80"));
    assert.deepEqual(JSON.parse(text), {
      pools: { web: { backends: ["a:80", "[::1]:80"], health: { kind: "none" } } },
    });
  });
});

describe("an item that is removed from a list", () => {
  expectEdits([
    [
      "takes its own line along, and its comment there; comments in lines of their own stay",
      remove(0),
      `pools:
  web:
    backends:
      # first
      - a:80   # number one
      # second
      - b:80   # number two
    # after
`,
      `pools:
  web:
    backends:
      # first
      # second
      - b:80   # number two
    # after
`,
    ],
    [
      "takes all its lines along",
      remove(1),
      `pools:
  web:
    backends:
      - a:80
      - name: b
        # its address
        address: b:80 # here
      - c:80 # three
    health: { kind: none }
`,
      `pools:
  web:
    backends:
      - a:80
      - c:80 # three
    health: { kind: none }
`,
    ],
    [
      "leaves an empty list when it was the only one",
      remove(0),
      "pools:\n  web:\n    backends: # who answers\n      # one\n      - a:80 # here\n    health: { kind: none } # h\n",
      "pools:\n  web:\n    backends: [] # who answers\n      # one\n    health: { kind: none } # h\n",
    ],
    [
      "leaves empty brackets when it was the only one",
      remove(0),
      "pools: { web: { backends: [a:80] } } # x\n",
      "pools: { web: { backends: [] } } # x\n",
    ],
    [
      "leaves the first of a line",
      remove(1),
      "pools: { web: { backends: [a:80,  b:80 , c:80] } } # x\n",
      "pools: { web: { backends: [a:80 , c:80] } } # x\n",
    ],
    [
      "leaves the second of a line",
      remove(0),
      "pools: { web: { backends: [ a:80,  b:80 ] } } # x\n",
      "pools: { web: { backends: [ b:80 ] } } # x\n",
    ],
    [
      "takes the comma before it along when it was the last of several lines",
      remove(1),
      'pools:\n  web:\n    backends: [\n      "a:80", # one\n      "b:80" # two\n    ]\n',
      'pools:\n  web:\n    backends: [\n      "a:80" # one\n    ]\n',
    ],
    [
      "is the last line of the file",
      remove(1),
      "pools:\n  web:\n    backends:\n      - a:80 # one\n      - b:80",
      "pools:\n  web:\n    backends:\n      - a:80 # one",
    ],
  ]);
});

describe("an entry of a map", () => {
  const add: YamlEdit = { kind: "set", at: ["pair", "nodes", "pi-b"], value: { address: "10.0.0.2" } };
  expectEdits([
    [
      "stands behind the others",
      add,
      `pair:
  nodes: # two
    # the first
    pi-a: { address: 10.0.0.1, priority: 150 }   # preferred
    # the second one comes here
  secretFile: secret
`,
      `pair:
  nodes: # two
    # the first
    pi-a: { address: 10.0.0.1, priority: 150 }   # preferred
    pi-b: { address: 10.0.0.2 }
    # the second one comes here
  secretFile: secret
`,
    ],
    [
      "stands behind one of several lines",
      add,
      "pair:\n  nodes:\n    pi-a:\n      address: 10.0.0.1 # a\n      priority: 150 # p\n\n  secretFile: secret\n",
      "pair:\n  nodes:\n    pi-a:\n      address: 10.0.0.1 # a\n      priority: 150 # p\n    pi-b: { address: 10.0.0.2 }\n\n  secretFile: secret\n",
    ],
    [
      "stands in the braces",
      add,
      "pair: { nodes: { pi-a: { address: 10.0.0.1 } }, secretFile: secret } # x\n",
      "pair: { nodes: { pi-a: { address: 10.0.0.1 }, pi-b: { address: 10.0.0.2 } }, secretFile: secret } # x\n",
    ],
    [
      "that is there gets its new value where the old one was",
      { kind: "set", at: ["pair", "nodes", "pi-a", "address"], value: "10.0.0.9" },
      "pair:\n  nodes:\n    pi-a: { address: 10.0.0.1,  priority: 150 } # a\n",
      "pair:\n  nodes:\n    pi-a: { address: 10.0.0.9,  priority: 150 } # a\n",
    ],
  ]);
});

describe("what cannot be edited", () => {
  const rows: readonly (readonly [string, string, RegExp])[] = [
    ["a list that is not there", "pools:\n  api: { backends: [a:80] }\n", /^pools\.web is not in the file$/],
    [
      "a list that stands elsewhere, too",
      "x: &shared [a:80]\npools:\n  web:\n    backends: *shared\n",
      /^pools\.web\.backends is an alias/,
    ],
    [
      "a list that another place repeats",
      "pools:\n  web:\n    backends: &shared [a:80]\n  api:\n    backends: *shared\n",
      /by hand$/,
    ],
    ["what is no list", "pools:\n  web:\n    backends: a:80\n", /neither a list nor a map/],
    ["what is no YAML", "pools: [", /not valid YAML/],
  ];
  for (const [name, text, problem] of rows) {
    test(`${name} is told`, () => {
      const result = editYaml(text, append());
      assert.ok(result.kind === "impossible" && problem.test(result.problem), JSON.stringify(result));
    });
  }
});

describe("whatever the layout", () => {
  /** One list in one of many hands: block or brackets, indents, comments, blank lines, quotes. */
  const hand = fc.record({
    count: fc.integer({ min: 1, max: 4 }),
    style: fc.constantFrom("block", "dedented", "flow", "lines", "lines,"),
    forms: fc.array(fc.constantFrom("plain", "quoted", "flow-map", "block-map", "folded"), {
      minLength: 4,
      maxLength: 4,
    }),
    indent: fc.integer({ min: 1, max: 5 }),
    comments: fc.array(fc.constantFrom("", " # c", "   # c: [x", " # '"), { minLength: 4, maxLength: 4 }),
    above: fc.array(fc.constantFrom([], ["# above"], ["", "  # far"], [""]), { minLength: 4, maxLength: 4 }),
    tail: fc.constantFrom("", "\n", "\n# end\n", "\n    health: { kind: none } # h\n# end", "\nworkers: 2\n"),
  });

  type Layout = typeof hand extends fc.Arbitrary<infer T> ? T : never;

  function write({ count, style, forms, indent, comments, above, tail }: Layout): string {
    const pad = " ".repeat(style === "dedented" ? 4 : 4 + indent);
    const lines = ["# top", "pools: # p", "  web:"];
    const isBlock = style === "block" || style === "dedented";
    const items = Array.from({ length: count }, (_, i) => {
      const address = `b${String(i)}:80`;
      const form = forms[i];
      if (form === "quoted") return `"${address}"`;
      if (form === "flow-map") return `{ address: ${address}, weight: 2 }`;
      if (form === "block-map" && isBlock)
        return `name: n${String(i)}\n${pad}  # inner\n${pad}  address: ${address}`;
      if (form === "folded" && isBlock) return `>-\n${pad}    ${address}`;
      return address;
    });
    if (style === "flow") {
      lines.push(`    backends: [${items.join(",  ")}]${comments[0] ?? ""}`);
      return lines.join("\n") + tail;
    }
    lines.push(isBlock ? "    backends:" : "    backends: [");
    for (const [i, item] of items.entries()) {
      lines.push(...(above[i] ?? []).map((line) => (line === "" ? "" : pad + line)));
      const comma = isBlock || (style === "lines" && i === items.length - 1) ? "" : ",";
      // Behind a folded text a comment would be text.
      const comment = item.startsWith(">") ? "" : (comments[i] ?? "");
      lines.push(`${pad}${isBlock ? "- " : ""}${item}${comma}${comment}`);
    }
    if (!isBlock) lines.push(`${" ".repeat(4 + indent)}]`);
    return lines.join("\n") + tail;
  }

  test("adding keeps every line, and removing what was added gives the same meaning", () => {
    fc.assert(
      fc.property(hand, (layout) => {
        const text = write(layout);
        const before = readYaml(text);
        assert.equal(before.kind, "source", text);
        const more = edited(text, append("new:80"));
        if (layout.style !== "flow") assert.ok(isIn(bare(text), bare(more)), `${text}\n---\n${more}`);
        const back = edited(more, remove(layout.count));
        const after = readYaml(back);
        assert.ok(before.kind === "source" && after.kind === "source");
        assert.deepEqual(after.value, before.value);
        assert.deepEqual(bare(back).filter(Boolean), bare(text).filter(Boolean));
      }),
      { numRuns: 500 },
    );
  });

  test("removing keeps every line that was not of the item", () => {
    fc.assert(
      fc.property(hand, fc.nat(), (layout, pick) => {
        const text = write(layout);
        const index = pick % layout.count;
        const less = edited(text, remove(index));
        assert.deepEqual(commentsOf(less), commentsOf(text), `${text}\n---\n${less}`);
        for (let i = 0; i < layout.count; i += 1) {
          assert.equal(less.includes(`b${String(i)}:80`), i !== index, `${text}\n---\n${less}`);
        }
      }),
      { numRuns: 500 },
    );
  });
});

/** Whether all these lines are there, in this order. */
function isIn(part: readonly string[], whole: readonly string[]): boolean {
  let from = 0;
  for (const line of part) {
    const at = whole.indexOf(line, from);
    if (at === -1) return false;
    from = at + 1;
  }
  return true;
}

/** Without commas, which come and go with the items. */
function bare(text: string): readonly string[] {
  return text.split("\n").map((line) => line.replaceAll(",", ""));
}

/** Those of no single item. */
function commentsOf(text: string): readonly string[] {
  return text.match(/# (top|p|above|far|h|end)/g) ?? [];
}
