// What the shell offers behind `vipair`: commands, and behind each its options; folders and files where an option takes one.

import type { Command, Option } from "commander";
import { commandsOf } from "./commands.ts";

/** For bash-completion, which loads it when `vipair` is completed for the first time. */
export function formatBashCompletion(tree: Command): string {
  const commands = commandsOf(tree);
  const options = [...tree.options, ...commands.flatMap(({ command }) => command.options)];
  const taking = (kind: string) => [
    ...new Set(options.filter((option) => kindOf(option) === kind).flatMap(flagsOf)),
  ];
  const cases = commands.map(
    ({ name, command }) =>
      `    ${quote(name)}) words=${quote(command.options.flatMap(flagsOf).join(" "))} ;;`,
  );
  const groups = tree.commands
    .filter(({ commands: below }) => below.length > 0)
    .map(
      (group) =>
        `    ${quote(group.name())}) words=${quote(group.commands.map((command) => command.name()).join(" "))} ;;`,
    );
  const first = [
    ...tree.commands.map((command) => command.name()),
    ...tree.options.flatMap(flagsOf),
    "--help",
  ];
  return `# bash completion for vipair(8)
_vipair() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} word command='' words=''
  COMPREPLY=()
  case $prev in
${casesOf(taking("file"), "compopt -o default; return")}
${casesOf(taking("folder"), "compopt -o dirnames; return")}
${casesOf(taking("value"), "return")}
  esac
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case $word in
      -*) ;;
      *)
        command="\${command:+$command }$word"
        case $command in
          ${tree.commands
            .filter(({ commands: below }) => below.length > 0)
            .map((group) => quote(group.name()))
            .concat("''")
            .join(" | ")}) ;;
          *) break ;;
        esac
        ;;
    esac
  done
  case $command in
    '') words=${quote(first.join(" "))} ;;
${[...groups, ...cases].join("\n")}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -F _vipair vipair
`;
}

/** For zsh, in a folder of its $fpath. */
export function formatZshCompletion(tree: Command): string {
  const commands = commandsOf(tree);
  const groups = tree.commands.filter(({ commands: below }) => below.length > 0);
  return `#compdef vipair
# zsh completion for vipair(8)
_vipair() {
  local -a commands
  local command=\${words[2]}
  if (( CURRENT == 2 )); then
    commands=(${tree.commands.map((command) => quote(described(command))).join(" ")})
    _describe command commands
    return
  fi
  shift words
  (( CURRENT-- ))
  case $command in
${groups
  .map(
    (group) => `    ${group.name()})
      if (( CURRENT == 2 )); then
        commands=(${group.commands.map((command) => quote(described(command))).join(" ")})
        _describe command commands
        return
      fi
      command="$command \${words[2]}"
      shift words
      (( CURRENT-- ))
      ;;
`,
  )
  .join("")}  esac
  case $command in
${commands.map(({ name, command }) => `    ${quote(name)}) _arguments ${command.options.map(zshOption).join(" ")} '*: :' ;;`).join("\n")}
  esac
}
_vipair "$@"
`;
}

/** `name:what it does`, as _describe takes it. */
function described(command: Command): string {
  return `${command.name()}:${command.description().replaceAll(":", "\\:")}`;
}

/** Nothing when no option is such a one: \`case\` needs a pattern. */
function casesOf(flags: readonly string[], action: string): string {
  return flags.length === 0 ? "" : `    ${flags.join(" | ")}) ${action} ;;`;
}

function flagsOf(option: Option): string[] {
  return [option.long, option.short].filter((flag) => flag !== undefined && flag !== null);
}

function kindOf(option: Option): "file" | "folder" | "value" | "none" {
  if (!option.required && !option.optional) return "none";
  if (option.flags.includes("<file>")) return "file";
  return option.flags.includes("<dir>") ? "folder" : "value";
}

function zshOption(option: Option): string {
  const action = { file: ":file:_files", folder: ":folder:_files -/", value: ":value: ", none: "" }[
    kindOf(option)
  ];
  const text = option.description.replaceAll(/[[\]:]/gu, (character) => `\\${character}`);
  const flags = flagsOf(option);
  return flags.map((flag) => quote(`${flag}[${text}]${action}`)).join(" ");
}

/** In single quotes for a shell. */
function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
