// vipair(8): what stands in the help of each command, and around it what somebody at a terminal looks for. The long text is in docs/.

import type { Command } from "commander";
import { commandsOf, type NamedCommand } from "./commands.ts";

export function formatManual(tree: Command): string {
  return `${[
    `.TH VIPAIR 8 "" "vipair ${escape(tree.version() ?? "")}" "System Administration"`,
    ".SH NAME",
    `vipair \\- ${escape(lowerFirst(tree.description()))}`,
    ".SH SYNOPSIS",
    ".B vipair",
    ".I COMMAND",
    "[\\fIOPTIONS\\fR]",
    ".SH DESCRIPTION",
    escape(
      "Two machines balance HTTP over the same backends and share a virtual IP address. They hear each other all the time and elect the one that holds the address; when it dies, the other one has it within a second.",
    ),
    ".PP",
    escape(
      "The service vipair.service runs a node. vipair-active.target and vipair-standby.target follow its role, for other units and for scripts: systemctl is-active vipair-active.target.",
    ),
    ".SH COMMANDS",
    ...commandsOf(tree).flatMap(formatCommand),
    ".SH EXIT STATUS",
    ...paragraphs([
      ["0", "Done."],
      ["1", "Refused or failed; stderr says why."],
      ["2", "A command line that makes no sense."],
      ["3", "No vipair runs here."],
    ]),
    ".SH FILES",
    ...paragraphs([
      [
        "/etc/vipair/vipair.yaml",
        "The configuration, the same on both nodes. With comments alone the node waits.",
      ],
      ["/etc/vipair/secret", "What the two nodes know each other by."],
      ["/run/vipair/admin.sock", "Where the commands ask the running node."],
      ["/var/lib/vipair/", "Operators' orders, which survive a reboot."],
      [
        "/usr/share/doc/vipair/",
        "The documentation: configuration.md, operating.md, failover.md and others.",
      ],
    ]),
    ".SH ENVIRONMENT",
    ...paragraphs([
      ["VIPAIR_NODE", "This node's name, where --node does not say it and it is not the host name."],
    ]),
    ".SH SEE ALSO",
    ".BR systemctl (1),",
    ".BR journalctl (1),",
    ".BR ip\\-address (8)",
  ].join("\n")}\n`;
}

function formatCommand({ name, command }: NamedCommand): string[] {
  const usage = command.usage().replace("[options]", "").trim();
  return [
    ".TP",
    `.B vipair ${escape(name)}${usage === "" ? "" : ` ${escape(usage)}`}`,
    escape(sentence(command.description())),
    ...command.registeredArguments.flatMap((argument) =>
      argument.description === "" ? [] : item(argument.name(), argument.description),
    ),
    ...command.options.flatMap((option) => {
      const isTold =
        option.defaultValue !== undefined &&
        option.defaultValue !== false &&
        !Array.isArray(option.defaultValue);
      return item(
        option.flags,
        `${option.description}${isTold ? ` (default: ${String(option.defaultValue)})` : ""}`,
      );
    }),
  ];
}

/** Below a command. */
function item(name: string, text: string): string[] {
  return [".RS", ".TP", `.B ${escape(name)}`, escape(sentence(text)), ".RE"];
}

function paragraphs(items: readonly (readonly [name: string, text: string])[]): string[] {
  return items.flatMap(([name, text]) => [".TP", `.B ${escape(name)}`, escape(text)]);
}

function sentence(text: string): string {
  const first = `${text.slice(0, 1).toUpperCase()}${text.slice(1)}`;
  return /[.!?]$/u.test(first) ? first : `${first}.`;
}

function lowerFirst(text: string): string {
  return `${text.slice(0, 1).toLowerCase()}${text.slice(1)}`;
}

/** groff_char(7): a hyphen that is typed is a minus, and a line must not begin as a request does. */
function escape(text: string): string {
  return text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replaceAll("'", "\\(aq")
    .replaceAll("`", "\\(ga")
    .replaceAll(/^\./gmu, "\\&.");
}
