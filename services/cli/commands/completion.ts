import type { Command } from "commander";
import { AtollError } from "#federation/runtime/errors.ts";

/** What may follow each command, by its path (`drill run`); the empty path is the program. */
export type CompletionTable = ReadonlyMap<string, readonly string[]>;

export const shells = ["bash", "zsh", "fish"] as const;

/** Reads subcommands and options from the program itself, so that completion never lags behind. */
export function completionTable(program: Command): CompletionTable {
  const table = new Map<string, readonly string[]>();
  const global = program.options.map((option) => option.long).filter((long) => long !== undefined && long !== null);
  const visit = (command: Command, path: readonly string[]): void => {
    const own = path.length === 0 ? [] : command.options.map((option) => option.long).filter((long) => long !== undefined && long !== null);
    table.set(path.join(" "), [...command.commands.map((child) => child.name()), ...own, ...global]);
    for (const child of command.commands) visit(child, [...path, child.name()]);
  };
  visit(program, []);
  return table;
}

/** A completion script for `shell`. @throws {ATOLL_USAGE} for another shell. */
export function completionScript(shell: string, table: CompletionTable): string {
  if (shell === "bash") return bashScript(table);
  if (shell === "zsh") return `#compdef atoll\nautoload -U +X bashcompinit && bashcompinit\n${bashScript(table)}`;
  if (shell === "fish") return fishScript(table);
  throw new AtollError("ATOLL_USAGE", `no completion for ${JSON.stringify(shell)}; there is one for ${shells.join(", ")}`);
}

function bashScript(table: CompletionTable): string {
  const cases = [...table].map(([path, words]) => `    "${path}") words="${words.join(" ")}" ;;`);
  const paths = [...table.keys()].filter((path) => path !== "").map((path) => `"${path}"`);
  return [
    "# atoll completion; load it with: source <(atoll completion bash)",
    "_atoll() {",
    '  local current="${COMP_WORDS[COMP_CWORD]}" path="" next words index',
    "  for ((index = 1; index < COMP_CWORD; index++)); do",
    '    next="${path:+$path }${COMP_WORDS[index]}"',
    `    case "$next" in ${paths.join("|")}) path="$next" ;; esac`,
    "  done",
    '  case "$path" in',
    ...cases,
    "  esac",
    '  case "${COMP_WORDS[COMP_CWORD-1]}" in -f|--file|--report|--data) COMPREPLY=($(compgen -f -- "$current")); return ;; esac',
    '  COMPREPLY=($(compgen -W "$words" -- "$current"))',
    "}",
    "complete -F _atoll atoll",
    "",
  ].join("\n");
}

function fishScript(table: CompletionTable): string {
  const lines = ["# atoll completion; load it with: atoll completion fish | source", "complete -c atoll -f"];
  for (const [path, words] of table) {
    const parts = path === "" ? [] : path.split(" ");
    const children = words.filter((word) => !word.startsWith("--"));
    const seen = parts.map((part) => `__fish_seen_subcommand_from ${part}`);
    const unseen = children.length > 0 ? [`not __fish_seen_subcommand_from ${children.join(" ")}`] : [];
    const condition = [...seen, ...unseen].join("; and ");
    const when = condition === "" ? "" : ` -n '${condition}'`;
    for (const word of words) lines.push(word.startsWith("--") ? `complete -c atoll${when} -l ${word.slice(2)}` : `complete -c atoll${when} -a ${word}`);
  }
  return `${lines.join("\n")}\n`;
}
