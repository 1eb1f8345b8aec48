import { parsePairs } from "./pairs.ts";

/** `type{id=value}[description=value]@schema_url`, of which only the first two have to be there. */
const grammar = /^([a-zA-Z][\w.-]*)\{([^{}[\]@]*)\}(?:\[([^{}[\]@]*)\])?(?:@.*)?$/s;
const key = /^[a-zA-Z][\w.-]*$/;

type Pairs = Readonly<Record<string, string>>;
type Entity = { readonly type: string; readonly id: Pairs; readonly description: Pairs };

const entityOf = (text: string): Entity | undefined => {
  const [, type, identifying, descriptive = ""] = grammar.exec(text) ?? [];
  const id = parsePairs(identifying ?? "");
  const description = parsePairs(descriptive);
  if (type === undefined || id === undefined || description === undefined) return undefined;
  const names = Object.keys({ ...id, ...description });
  return Object.keys(id).length > 0 && names.every((name) => key.test(name)) ? { type, id, description } : undefined;
};

/** A later entity takes the place of an earlier one of its type that it has an identifying key in common with. */
const replaces = (later: Entity, earlier: Entity): boolean =>
  later.type === earlier.type && Object.keys(later.id).some((name) => Object.hasOwn(earlier.id, name));

export type Entities = {
  readonly attributes: ReadonlyMap<string, string>;
  /** What could not be read is left out. */
  readonly malformed: boolean;
  /** Some entities, or attributes of them, stand twice. The last ones count. */
  readonly repeated: boolean;
};

/**
 * Reads OTEL_ENTITIES. Entities become attributes of the resource; their types and schema URLs are not exported.
 * @see https://github.com/open-telemetry/opentelemetry-specification/blob/main/specification/entities/entity-propagation.md
 */
export const parseEntities = (text: string): Entities => {
  const parts = text
    .split(";")
    .map((part) => part.trim())
    .filter((part) => part !== "");
  const read = parts.map(entityOf).filter((entity) => entity !== undefined);
  const kept = read.filter((entity, index) => !read.slice(index + 1).some((later) => replaces(later, entity)));
  const pairs = kept.flatMap(({ id, description }) => [...Object.entries(id), ...Object.entries(description)]);
  const attributes = new Map(pairs);
  return {
    attributes,
    malformed: read.length < parts.length,
    repeated: kept.length < read.length || pairs.some(([name, value]) => attributes.get(name) !== value),
  };
};
