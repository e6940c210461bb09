// Rules on health pages for property tests: made by chance, and written down again.

import * as fc from "fast-check";
import { parseExpression } from "../../src/config/expression.ts";
import type { Expression, Field, Operand, Operator } from "../../src/config/expression.ts";

const OPERATORS: readonly Operator[] = ["==", "!=", "<", "<=", ">", ">=", "contains"];

export function render(expression: Expression): string {
  switch (expression.kind) {
    case "and":
    case "or":
      return expression.parts.map((part) => `(${render(part)})`).join(` ${expression.kind} `);
    case "not":
      return `not (${render(expression.part)})`;
    case "field":
      return expression.field.text;
    case "compare":
      return `${renderOperand(expression.left)} ${expression.operator} ${renderOperand(expression.right)}`;
  }
}

function renderOperand(operand: Operand): string {
  if (operand.kind === "field") return operand.field.text;
  const { value } = operand;
  return typeof value === "string" ? `"${value.replaceAll(/["\\]/g, String.raw`\$&`)}"` : String(value);
}

/** The rule of a text; throws when it is none. */
export function rule(text: string): Expression {
  const parsed = parseExpression(text);
  if (parsed.kind === "invalid") throw new Error(`${text}: ${parsed.problem}`);
  return parsed.expression;
}

/** Fields a, b, __proto__ and so on, in maps and lists, as the parser names them. */
export function fieldOf(): fc.Arbitrary<Field> {
  const key = fc.constantFrom("a", "b", "length", "constructor", "__proto__", "and", "true", "x y", 'q"\\');
  const paths = fc.array(fc.oneof(key, fc.nat(3)), { minLength: 1, maxLength: 3 });
  return paths.map((path) => {
    const parsed = rule(
      path
        .map(
          (part) => `[${typeof part === "number" ? part : renderOperand({ kind: "constant", value: part })}]`,
        )
        .join(""),
    );
    if (parsed.kind !== "field") throw new Error("a path is a field");
    return parsed.field;
  });
}

/** `constants`: what fields are compared with. */
export function ruleOf(): fc.Arbitrary<Expression> {
  const field = fieldOf().map((of): Operand => ({ kind: "field", field: of }));
  const number = fc.integer({ min: -5, max: 5 });
  const anything = fc.oneof(
    number,
    fc.constantFrom("", "a", "it's", 'q"\\', "b"),
    fc.boolean(),
    fc.constant(null),
  );
  const compare = fc
    .record({
      operator: fc.constantFrom(...OPERATORS),
      left: field,
      number,
      anything,
      isTurned: fc.boolean(),
    })
    .map(({ operator, left, number: size, anything: value, isTurned }): Expression => {
      const isOrdering = operator.startsWith("<") || operator.startsWith(">");
      const right: Operand = { kind: "constant", value: isOrdering ? size : value };
      return isTurned
        ? { kind: "compare", operator, left: right, right: left }
        : { kind: "compare", operator, left, right };
    });
  const leaf = fc.oneof(
    compare,
    fieldOf().map((of): Expression => ({ kind: "field", field: of })),
  );
  const { tree } = fc.letrec<{ tree: Expression }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 4, depthSize: "small" },
      leaf,
      tie("tree").map((part): Expression => ({ kind: "not", part })),
      fc
        .tuple(fc.constantFrom("and", "or"), fc.array(tie("tree"), { minLength: 2, maxLength: 3 }))
        .map(([kind, parts]): Expression => ({ kind, parts })),
    ),
  }));
  return tree;
}
