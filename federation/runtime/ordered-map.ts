/** A binary search tree by key that is at the same time a heap by priority: which keys there are decides its shape, and nothing else does. */
interface Node<V> {
  readonly key: string;
  readonly value: V;
  readonly priority: number;
  readonly size: number;
  readonly left: Node<V> | undefined;
  readonly right: Node<V> | undefined;
}

/**
 * An immutable map in the order of its keys (by UTF-16 code units). A change makes a new map that shares all but O(log n) with the old
 * one, so a state may be replaced whole for what one change costs, and `changedKeys` finds what is different without looking at the rest.
 * @see Seidel and Aragon, Randomized Search Trees, 1996
 */
export class OrderedMap<V> implements ReadonlyMap<string, V> {
  readonly #root: Node<V> | undefined;

  private constructor(root: Node<V> | undefined) {
    this.#root = root;
  }

  /** The map of `entries`; the last one of a key counts. O(n log n). */
  static of<V>(entries: Iterable<readonly [string, V]> = []): OrderedMap<V> {
    let root: Node<V> | undefined;
    for (const [key, value] of entries) root = inserted(root, key, value, priorityOf(key));
    return new OrderedMap(root);
  }

  get size(): number {
    return this.#root?.size ?? 0;
  }

  /** O(log n), like `has`, `with` and `without`. */
  get(key: string): V | undefined {
    return find(this.#root, key)?.value;
  }

  has(key: string): boolean {
    return find(this.#root, key) !== undefined;
  }

  /** This map itself when it holds the same value already. */
  with(key: string, value: V): OrderedMap<V> {
    return this.#become(inserted(this.#root, key, value, priorityOf(key)));
  }

  /** This map itself when it does not hold the key. */
  without(key: string): OrderedMap<V> {
    return find(this.#root, key) === undefined ? this : this.#become(removed(this.#root, key));
  }

  /** The entries whose keys begin with `prefix`. O(log n) and what is read. */
  *withPrefix(prefix: string): Generator<[string, V], undefined, unknown> {
    for (const { key, value } of nodesFrom(this.#root, prefix)) {
      if (!key.startsWith(prefix)) return undefined;
      yield [key, value];
    }
    return undefined;
  }

  *entries(): Generator<[string, V], undefined, unknown> {
    for (const { key, value } of nodesFrom(this.#root, "")) yield [key, value];
    return undefined;
  }

  *keys(): Generator<string, undefined, unknown> {
    for (const { key } of nodesFrom(this.#root, "")) yield key;
    return undefined;
  }

  *values(): Generator<V, undefined, unknown> {
    for (const { value } of nodesFrom(this.#root, "")) yield value;
    return undefined;
  }

  [Symbol.iterator](): Generator<[string, V], undefined, unknown> {
    return this.entries();
  }

  forEach(visit: (value: V, key: string, map: ReadonlyMap<string, V>) => void): void {
    for (const [key, value] of this) visit(value, key, this);
  }

  /** The keys that `before` holds another value for, or none, and those that only `before` holds. O(changes log n) for a map that came of the other. */
  keysChangedSince(before: OrderedMap<V>): readonly string[] {
    const keys: string[] = [];
    collectChanges(before.#root, this.#root, keys);
    return keys;
  }

  #become(root: Node<V> | undefined): OrderedMap<V> {
    return root === this.#root ? this : new OrderedMap(root);
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

function find<V>(root: Node<V> | undefined, key: string): Node<V> | undefined {
  let node = root;
  while (node !== undefined && node.key !== key) node = key < node.key ? node.left : node.right;
  return node;
}

function nodeOf<V>({ key, value, priority }: Pick<Node<V>, "key" | "value" | "priority">, left: Node<V> | undefined, right: Node<V> | undefined): Node<V> {
  return { key, value, priority, size: 1 + (left?.size ?? 0) + (right?.size ?? 0), left, right };
}

function inserted<V>(root: Node<V> | undefined, key: string, value: V, priority: number): Node<V> {
  if (root === undefined) return nodeOf({ key, value, priority }, undefined, undefined);
  if (root.key === key) return Object.is(root.value, value) ? root : nodeOf({ key, value, priority }, root.left, root.right);
  // A key that is in stands above all of a lower priority: here it is not.
  if (isAbove({ key, priority }, root)) {
    const [left, , right] = split(root, key);
    return nodeOf({ key, value, priority }, left, right);
  }
  if (key < root.key) {
    const left = inserted(root.left, key, value, priority);
    return left === root.left ? root : nodeOf(root, left, root.right);
  }
  const right = inserted(root.right, key, value, priority);
  return right === root.right ? root : nodeOf(root, root.left, right);
}

function removed<V>(root: Node<V> | undefined, key: string): Node<V> | undefined {
  if (root === undefined) return undefined;
  if (root.key === key) return merged(root.left, root.right);
  return key < root.key ? nodeOf(root, removed(root.left, key), root.right) : nodeOf(root, root.left, removed(root.right, key));
}

/** What stands before `key`, at it and after it. */
function split<V>(root: Node<V> | undefined, key: string): readonly [Node<V> | undefined, Node<V> | undefined, Node<V> | undefined] {
  if (root === undefined) return [undefined, undefined, undefined];
  if (root.key === key) return [root.left, root, root.right];
  if (key < root.key) {
    const [left, at, right] = split(root.left, key);
    // Parted from nothing, a tree stays the object that it was: what is shared is still seen to be shared.
    return [left, at, right === root.left ? root : nodeOf(root, right, root.right)];
  }
  const [left, at, right] = split(root.right, key);
  return [left === root.right ? root : nodeOf(root, root.left, left), at, right];
}

function merged<V>(left: Node<V> | undefined, right: Node<V> | undefined): Node<V> | undefined {
  if (left === undefined) return right;
  if (right === undefined) return left;
  return isAbove(left, right) ? nodeOf(left, left.left, merged(left.right, right)) : nodeOf(right, merged(left, right.left), right.right);
}

function collectChanges<V>(before: Node<V> | undefined, after: Node<V> | undefined, keys: string[]): void {
  if (before === after) return;
  const upper = after === undefined || (before !== undefined && isAbove(before, after)) ? before : after;
  if (upper === undefined) return;
  const [beforeLeft, beforeAt, beforeRight] = before?.key === upper.key ? [before.left, before, before.right] : split(before, upper.key);
  const [afterLeft, afterAt, afterRight] = after?.key === upper.key ? [after.left, after, after.right] : split(after, upper.key);
  collectChanges(beforeLeft, afterLeft, keys);
  if (beforeAt === undefined || afterAt === undefined || !Object.is(beforeAt.value, afterAt.value)) keys.push(upper.key);
  collectChanges(beforeRight, afterRight, keys);
}

/** In order, from the first key that is not before `start`. */
function* nodesFrom<V>(root: Node<V> | undefined, start: string): Generator<Node<V>, void, unknown> {
  const above: Node<V>[] = [];
  let node = root;
  while (node !== undefined) {
    if (node.key < start) {
      node = node.right;
    } else {
      above.push(node);
      node = node.left;
    }
  }
  for (let next = above.pop(); next !== undefined; next = above.pop()) {
    yield next;
    for (let below = next.right; below !== undefined; below = below.left) above.push(below);
  }
}

function isAbove(a: Pick<Node<unknown>, "key" | "priority">, b: Pick<Node<unknown>, "key" | "priority">): boolean {
  return a.priority === b.priority ? a.key < b.key : a.priority > b.priority;
}

/**
 * A number that looks like chance and hangs on the key alone: FNV-1a with MurmurHash3's finalizer. Whoever chose names so that their
 * numbers fall with their order would make a list of the tree; names come from those who may write here anyway, and are bounded in number.
 */
function priorityOf(key: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < key.length; index++) hash = Math.imul(hash ^ key.charCodeAt(index), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  // With its sign: V8 keeps whole numbers of 32 bits in the node, and boxes those that have no sign.
  return hash ^ (hash >>> 16);
}
