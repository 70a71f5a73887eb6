/** A schema in the plugin protocol's form; blocks may stand in blocks. */
export interface ProtoBlockSchema {
  readonly version: number;
  readonly block: ProtoBlock;
}

interface ProtoBlock {
  readonly attributes: readonly object[];
  readonly block_types: readonly object[];
}

export interface ReadSchemas {
  readonly provider: ProtoBlockSchema;
  readonly resources: Readonly<Record<string, ProtoBlockSchema>>;
  readonly dataSources: Readonly<Record<string, ProtoBlockSchema>>;
}

interface Line {
  readonly indent: number;
  readonly head: string;
  readonly name: string;
  readonly words: readonly string[];
}

const primitives = { s: "string", n: "number", b: "bool" } as const;
const collections = { "[": "list", "(": "set", "{": "map" } as const;
/** How often a block may stand where it stands. */
const nestings = { one: { nesting: 2, max_items: 1 }, list: { nesting: 2, max_items: 0 }, set: { nesting: 3, max_items: 0 } } as const;

/** Reads schemas.txt, whose head says what its words mean. Pure. @throws Error at a word that means nothing */
export function readSchemas(text: string): ReadSchemas {
  const lines = text.split("\n").flatMap((line) => (line === "" || line.startsWith("#") ? [] : [readLine(line)]));
  const found = { provider: new Map<string, ProtoBlockSchema>(), resource: new Map<string, ProtoBlockSchema>(), data: new Map<string, ProtoBlockSchema>() };
  for (const [index, line] of lines.entries()) {
    if (line.indent > 0) continue;
    const kind = found[line.head as keyof typeof found];
    if (kind === undefined) throw new Error(`nothing is called ${line.head}`);
    kind.set(line.name, { version: 0, block: blockAt(lines, index) });
  }
  const provider = found.provider.get("aws");
  if (provider === undefined) throw new Error("the provider itself is missing");
  return { provider, resources: Object.fromEntries(found.resource), dataSources: Object.fromEntries(found.data) };
}

function readLine(line: string): Line {
  const [head = "", name = "", ...words] = line.trim().split(" ");
  return { indent: line.length - line.trimStart().length, head, name, words };
}

/** The block of a line, with those of the lines below it that are indented further. */
function blockAt(lines: readonly Line[], index: number): ProtoBlock {
  const own = lines[index];
  if (own === undefined) throw new Error(`there is no line ${index}`);
  const end = lines.findIndex(({ indent }, other) => other > index && indent <= own.indent);
  const inside = lines.slice(index + 1, end === -1 ? lines.length : end).map((line, offset) => ({ line, at: index + 1 + offset }));
  return {
    attributes: own.words.map(attributeOf),
    block_types: inside.filter(({ line }) => line.indent === own.indent + 2).map(({ line, at }) => nestedBlock(line, blockAt(lines, at))),
  };
}

function nestedBlock({ head, name }: Line, block: ProtoBlock): object {
  const nesting = nestings[head.replace("!", "") as keyof typeof nestings];
  if (nesting === undefined) throw new Error(`a block stands one, list or set, not ${head}`);
  return { type_name: name, block, ...nesting, min_items: head.endsWith("!") ? 1 : 0 };
}

function attributeOf(word: string): object {
  const [, name = "", use = "", type = ""] = /^([a-z0-9_]+)([!?^~])(\S+)$/.exec(word) ?? [];
  const of = primitives[type.replaceAll(/[^snb]/g, "") as keyof typeof primitives];
  if (of === undefined) throw new Error(`${word} is no attribute`);
  const collection = collections[type[0] as keyof typeof collections];
  return {
    name,
    type: Buffer.from(JSON.stringify(collection === undefined ? of : [collection, of])),
    required: use === "!",
    optional: use === "?" || use === "~",
    computed: use === "^" || use === "~",
  };
}
