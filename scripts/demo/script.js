// The demo without a person: each fault once, in an order in which each finds a whole pair, and a report in
// plain lines. It goes on after a step that failed only while the pair is whole.
import { describeOutcome, describeStage, FREEZE_REMARK } from "./report.js";
const STEPS = [
  { name: "kill", play: (stage) => stage.killActive() },
  { name: "return", play: (stage) => stage.returnNode(nodeThatIs(stage, "killed")) },
  { name: "switchover", play: (stage) => stage.switchOver() },
  { name: "backend loss", play: (stage) => stage.loseBackend(firstBackend(stage)) },
  { name: "backend return", play: (stage) => stage.returnBackend(firstBackend(stage)) },
  { name: "freeze", play: (stage) => stage.freezeActive(), remark: FREEZE_REMARK },
  { name: "thaw", play: (stage) => stage.thaw(nodeThatIs(stage, "frozen")) },
];
/** Plays all steps and prints the report; true when every step recovered. */
export async function playScript(stage, print) {
  const begin = performance.now();
  print("vipair demo, by script");
  for (const line of describeStage(stage)) print(`  ${line}`);
  await stage.open();
  print(`  started           ${seconds(begin)}; active: ${stage.active?.name ?? "none"}`);
  print("");
  const failures = [];
  for (const step of STEPS) {
    const account = await step.play(stage);
    printAccount(step, account, print);
    if (account.problems.length > 0) failures.push(step.name);
  }
  print("");
  if (failures.length === 0) {
    print(`${String(STEPS.length)} steps, every one recovered (${seconds(begin)})`);
    return true;
  }
  print(
    `${String(failures.length)} of ${String(STEPS.length)} steps did not recover: ${failures.join(", ")}`,
  );
  for (const node of stage.nodes) {
    print(`\nend of the log of ${node.name}:`);
    for (const line of node.logTail()) print(`  ${line}`);
  }
  return false;
}
function printAccount({ name, remark }, account, print) {
  const verdict = account.problems.length === 0 ? "ok    " : "FAILED";
  print(`${verdict}  ${name.padEnd(15)}${account.act}`);
  const indent = " ".repeat(23);
  print(`${indent}${describeOutcome(account)}`);
  for (const line of account.remarks) print(`${indent}${line}`);
  if (remark !== undefined) print(`${indent}${remark}`);
  for (const problem of account.problems) print(`${indent}problem: ${problem}`);
}
function nodeThatIs(stage, condition) {
  const node = stage.nodes.find((candidate) => candidate.condition === condition);
  if (node === undefined) throw new Error(`no node is ${condition}`);
  return node;
}
function firstBackend(stage) {
  const [backend] = stage.backends;
  if (backend === undefined) throw new Error("the demo has no backend");
  return backend;
}
function seconds(beginMs) {
  return `${((performance.now() - beginMs) / 1000).toFixed(1)} s`;
}
