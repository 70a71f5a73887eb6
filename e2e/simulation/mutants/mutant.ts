/** One text of a file of the product, and what stands in its place. */
export interface Edit {
  /** From the project's root. */
  readonly file: string;
  /** Occurs exactly once in the file, so that no mutant rots in silence. */
  readonly find: string;
  readonly replace: string;
}

/** A bug to be planted into the product. */
export interface Mutant extends Edit {
  readonly name: string;
  /** Where several parts guard against the same, in other files: a bug in one of them alone shows nowhere. */
  readonly also?: readonly Edit[];
}

/** All that `mutant` replaces. */
export function editsOf({ also = [], ...mutant }: Mutant): readonly Edit[] {
  return [mutant, ...also];
}

/** `source`, which is that of the edit's file, with the bug `name` in it. Pure. @throws Error where the text is not there, or more than once. */
export function withEdit(source: string, { file, find, replace }: Edit, name: string): string {
  const [before = "", after, ...more] = source.split(find);
  if (after === undefined) throw new Error(`mutant ${name}: ${file} has not the text that it replaces: write it anew for what stands there now`);
  if (more.length > 0) throw new Error(`mutant ${name}: ${file} has the text that it replaces ${more.length + 1} times: make it longer`);
  return `${before}${replace}${after}`;
}
