/** Most entries of a leaf, and most nodes under a branch: what a change copies at each level. */
export const nodeWidthMax = 32;

/** A node that is narrower is joined with its neighbour. A quarter, so that what was just parted or joined is not so again with the next change. */
const nodeWidthMin = nodeWidthMax / 4;

/** Entries that follow each other, in the order of their keys. */
interface Leaf<V> {
  readonly level: 0;
  readonly keys: readonly string[];
  readonly values: readonly V[];
}

/** Nodes that follow each other, all of the level below, each with its first key. */
interface Branch<V> {
  readonly level: number;
  readonly keys: readonly string[];
  readonly nodes: readonly Node<V>[];
}

type Node<V> = Leaf<V> | Branch<V>;

/**
 * An immutable map in the order of its keys (by UTF-16 code units): a B-tree, whose leaves are arrays, since a plane has several entries
 * for each service of a mesh, and an object for each of them takes three times as much. A change makes a new map that shares all but
 * O(log n) with the old one, so a state may be replaced whole for what one change costs, and `changedKeys` finds what is different without
 * looking at the rest.
 */
export class OrderedMap<V> implements ReadonlyMap<string, V> {
  readonly #root: Node<V>;
  readonly size: number;

  private constructor(root: Node<V>, size: number) {
    this.#root = root;
    this.size = size;
  }

  /** The map of `entries`; the last one of a key counts. O(n log n). */
  static of<V>(entries: Iterable<readonly [string, V]> = []): OrderedMap<V> {
    let map = new OrderedMap<V>(leafOf([], []), 0);
    for (const [key, value] of entries) map = map.with(key, value);
    return map;
  }

  /** O(log n), like `has`, `with` and `without`. */
  get(key: string): V | undefined {
    const { leaf, at, isThere } = placeOf(this.#root, key);
    return isThere ? leaf.values[at] : undefined;
  }

  has(key: string): boolean {
    return placeOf(this.#root, key).isThere;
  }

  /** This map itself when it holds the same value already. */
  with(key: string, value: V): OrderedMap<V> {
    const { leaf, at, isThere } = placeOf(this.#root, key);
    if (isThere && Object.is(leaf.values[at], value)) return this;
    return new OrderedMap(rootOf(put(this.#root, key, value)), isThere ? this.size : this.size + 1);
  }

  /** This map itself when it does not hold the key. */
  without(key: string): OrderedMap<V> {
    return this.has(key) ? new OrderedMap(rootOf(removed(this.#root, key)), this.size - 1) : this;
  }

  /** The entries whose keys begin with `prefix`. O(log n) and what is read. */
  *withPrefix(prefix: string): Generator<[string, V], undefined, unknown> {
    for (const entry of entriesFrom(this.#root, prefix)) {
      if (!entry[0].startsWith(prefix)) return undefined;
      yield entry;
    }
    return undefined;
  }

  *entries(): Generator<[string, V], undefined, unknown> {
    yield* entriesFrom(this.#root, "");
    return undefined;
  }

  *keys(): Generator<string, undefined, unknown> {
    for (const [key] of entriesFrom(this.#root, "")) yield key;
    return undefined;
  }

  *values(): Generator<V, undefined, unknown> {
    for (const [, value] of entriesFrom(this.#root, "")) yield value;
    return undefined;
  }

  [Symbol.iterator](): Generator<[string, V], undefined, unknown> {
    return this.entries();
  }

  forEach(visit: (value: V, key: string, map: ReadonlyMap<string, V>) => void): void {
    for (const [key, value] of this) visit(value, key, this);
  }

  /** The keys that `before` holds another value for, or none, and those that only `before` holds, in order. O(changes log n) for a map that came of the other. */
  keysChangedSince(before: OrderedMap<V>): readonly string[] {
    return changesBetween(new Walk(before.#root), new Walk(this.#root));
  }
}

/**
 * The keys for which two states of a map hold different values, each once. Values are told apart by identity: what did not change has to
 * be the same object. O(changes log n) between ordered maps of which one came of the other, O(n) between others.
 */
export function changedKeys<V>(before: ReadonlyMap<string, V>, after: ReadonlyMap<string, V>): readonly string[] {
  if (before === after) return [];
  if (before instanceof OrderedMap && after instanceof OrderedMap) return (after as OrderedMap<V>).keysChangedSince(before as OrderedMap<V>);
  const keys = [...after.keys()].filter((key) => !Object.is(before.get(key), after.get(key)) || !before.has(key));
  for (const key of before.keys()) if (!after.has(key)) keys.push(key);
  return keys;
}

/** The entries of `map` whose keys begin with `prefix`. O(log n) and what is read for an ordered one, O(n) for others. */
export function entriesWithPrefix<V>(map: ReadonlyMap<string, V>, prefix: string): Iterable<readonly [string, V]> {
  return map instanceof OrderedMap ? (map as OrderedMap<V>).withPrefix(prefix) : [...map].filter(([key]) => key.startsWith(prefix));
}

/** Where an entry is, or would come to be. */
interface EntryPlace<V> {
  readonly leaf: Leaf<V>;
  readonly at: number;
  readonly isThere: boolean;
}

function placeOf<V>(root: Node<V>, key: string): EntryPlace<V> {
  let node = root;
  while (!isLeaf(node)) node = nodeAt(node, indexUnder(node, key));
  const at = firstFrom(node.keys, key);
  return { leaf: node, at, isThere: node.keys[at] === key };
}

/** `node` with the entry, wider than it may be where its parent has to part it. */
function put<V>(node: Node<V>, key: string, value: V): Node<V> {
  if (!isLeaf(node)) {
    const at = indexUnder(node, key);
    return replaced(node, at, put(nodeAt(node, at), key, value));
  }
  const at = firstFrom(node.keys, key);
  if (node.keys[at] === key) return leafOf(node.keys, node.values.with(at, value));
  return leafOf(node.keys.toSpliced(at, 0, key), node.values.toSpliced(at, 0, value));
}

/** `node` without the entry, which is in it; narrower than it may be where its parent has to join it to its neighbour. */
function removed<V>(node: Node<V>, key: string): Node<V> {
  if (isLeaf(node)) {
    const at = firstFrom(node.keys, key);
    return leafOf(node.keys.toSpliced(at, 1), node.values.toSpliced(at, 1));
  }
  const at = indexUnder(node, key);
  return replaced(node, at, removed(nodeAt(node, at), key));
}

/** `branch` with another node at `at`, whose width is put right. */
function replaced<V>(branch: Branch<V>, at: number, node: Node<V>): Branch<V> {
  const { level, keys, nodes } = branch;
  const width = node.keys.length;
  if (width > nodeWidthMax) return branchOf(level, nodes.toSpliced(at, 1, ...parted(node)));
  if (width < nodeWidthMin) {
    const left = Math.max(at - 1, 0);
    const [one, other] = at === 0 ? [node, nodeAt(branch, 1)] : [nodeAt(branch, left), node];
    return branchOf(level, nodes.toSpliced(left, 2, ...parted(joined(one, other))));
  }
  const first = firstOf(node);
  return { level, keys: keys[at] === first ? keys : keys.with(at, first), nodes: nodes.with(at, node) };
}

/** A root may be narrow, but is no branch of one node. */
function rootOf<V>(node: Node<V>): Node<V> {
  if (node.keys.length > nodeWidthMax) return branchOf(node.level + 1, parted(node));
  return !isLeaf(node) && node.nodes.length === 1 ? nodeAt(node, 0) : node;
}

/** In halves where it is too wide. */
function parted<V>(node: Node<V>): readonly Node<V>[] {
  const width = node.keys.length;
  if (width <= nodeWidthMax) return [node];
  const half = width >> 1;
  return isLeaf(node)
    ? [leafOf(node.keys.slice(0, half), node.values.slice(0, half)), leafOf(node.keys.slice(half), node.values.slice(half))]
    : [branchOf(node.level, node.nodes.slice(0, half)), branchOf(node.level, node.nodes.slice(half))];
}

/** Of one level. */
function joined<V>(one: Node<V>, other: Node<V>): Node<V> {
  if (isLeaf(one) && isLeaf(other)) return leafOf([...one.keys, ...other.keys], [...one.values, ...other.values]);
  return branchOf(one.level, [one, other].flatMap((node) => (isLeaf(node) ? [] : node.nodes)));
}

function leafOf<V>(keys: readonly string[], values: readonly V[]): Leaf<V> {
  return { level: 0, keys, values };
}

function branchOf<V>(level: number, nodes: readonly Node<V>[]): Branch<V> {
  return { level, keys: nodes.map(firstOf), nodes };
}

function firstOf({ keys }: Node<unknown>): string {
  return keys[0] ?? "";
}

function isLeaf<V>(node: Node<V>): node is Leaf<V> {
  return node.level === 0;
}

/** There has to be one. */
function nodeAt<V>({ nodes }: Branch<V>, at: number): Node<V> {
  return nodes[at] as Node<V>;
}

/** Of the node under `branch` that `key` belongs in. */
function indexUnder<V>({ keys }: Branch<V>, key: string): number {
  const at = firstFrom(keys, key);
  return keys[at] === key ? at : Math.max(at - 1, 0);
}

/** The index of the first of `keys` that is not before `key`: their number where all are. */
function firstFrom(keys: readonly string[], key: string): number {
  let [low, high] = [0, keys.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((keys[middle] ?? "") < key) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** In order, from the first whose key is not before `start`. */
function* entriesFrom<V>(root: Node<V>, start: string): Generator<[string, V], void, unknown> {
  for (const { keys, values } of leavesFrom(root, start)) for (let at = firstFrom(keys, start); at < keys.length; at++) yield [keys[at] ?? "", values[at] as V];
}

function* leavesFrom<V>(node: Node<V>, start: string): Generator<Leaf<V>, void, unknown> {
  if (isLeaf(node)) yield node;
  else for (let at = indexUnder(node, start); at < node.nodes.length; at++) yield* leavesFrom(nodeAt(node, at), start);
}

/** What is left of a tree for who goes through it in order, in nodes that are as large as may be. */
class Walk<V> {
  /** The next one last. */
  readonly #ahead: Node<V>[];
  /** Entries of the next one, a leaf, that were passed. */
  #passed = 0;

  constructor(root: Node<V>) {
    this.#ahead = root.keys.length === 0 ? [] : [root];
  }

  /** What comes next; undefined at the end, and within a leaf. */
  get node(): Node<V> | undefined {
    return this.#passed === 0 ? this.#ahead.at(-1) : undefined;
  }

  /** The next entry; undefined at the end. What comes next must not be a branch. */
  get entry(): { readonly key: string; readonly value: V } | undefined {
    const leaf = this.#ahead.at(-1);
    return leaf === undefined || !isLeaf(leaf) ? undefined : { key: leaf.keys[this.#passed] ?? "", value: leaf.values[this.#passed] as V };
  }

  /** Goes into the branch that comes next. */
  enter(branch: Branch<V>): void {
    this.#ahead.pop();
    for (let at = branch.nodes.length - 1; at >= 0; at--) this.#ahead.push(nodeAt(branch, at));
  }

  passNode(): void {
    this.#ahead.pop();
    this.#passed = 0;
  }

  passEntry(): void {
    this.#passed++;
    if (this.#passed === this.#ahead.at(-1)?.keys.length) this.passNode();
  }
}

/**
 * Nodes that both have are passed whole. Of others the higher one is entered, so that where the trees differ in a place only, both are soon
 * before the same node again.
 */
function changesBetween<V>(before: Walk<V>, after: Walk<V>): readonly string[] {
  const changed: string[] = [];
  for (;;) {
    const [one, other] = [before.node, after.node];
    if (one !== undefined && one === other) {
      before.passNode();
      after.passNode();
    } else if (one !== undefined && !isLeaf(one) && one.level >= (other?.level ?? 0)) {
      before.enter(one);
    } else if (other !== undefined && !isLeaf(other)) {
      after.enter(other);
    } else {
      const [was, is] = [before.entry, after.entry];
      const key = earlierKey(was?.key, is?.key);
      if (key === undefined) return changed;
      if (was?.key !== is?.key || !Object.is(was?.value, is?.value)) changed.push(key);
      if (was?.key === key) before.passEntry();
      if (is?.key === key) after.passEntry();
    }
  }
}

/** Of two, or the one that there is. */
function earlierKey(one: string | undefined, other: string | undefined): string | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return one < other ? one : other;
}
