/**
 * The faults of YAML itself by their code, in plain words. The YAML package's own messages repeat text of the file,
 * which may be a secret.
 */
const words: Readonly<Record<string, string>> = {
  ALIAS_PROPS: "an alias (*name) takes no anchor and no tag",
  BAD_ALIAS: "no valid anchor (&name) or alias (*name): put text that starts with & or * in quotes",
  BAD_COLLECTION_TYPE: "the tag does not fit its value: remove it",
  BAD_DIRECTIVE: "a line that starts with % must be a directive that YAML knows: remove it",
  BAD_DQ_ESCAPE: "no such escape in double quotes: write \\\\ for a backslash, or use single quotes",
  BAD_INDENT: "the indentation does not fit, or a { or [ before this place is not closed",
  BAD_PROP_ORDER: "an anchor or a tag stands after the - or : before its value",
  BAD_SCALAR_START: "text cannot start with this character: put it in quotes",
  BLOCK_AS_IMPLICIT_KEY: "a map or list cannot start here: put text that holds a colon and a space in quotes",
  BLOCK_IN_FLOW: "inside { } and [ ] everything is written with { } and [ ]: put text in quotes",
  KEY_OVER_1024_CHARS: "a key can have 1024 characters",
  MISSING_CHAR: "something is missing before this place: a } or ], a comma, a colon or a space",
  MULTILINE_IMPLICIT_KEY: "a key must be on one line with its colon",
  MULTIPLE_ANCHORS: "a value can have one anchor",
  MULTIPLE_DOCS: "a second document starts here: a configuration file is one document",
  MULTIPLE_TAGS: "a value can have one tag",
  NON_STRING_KEY: "a key must be text",
  RESOURCE_EXHAUSTION: "nested too deeply",
  TAB_AS_INDENT: "a tab cannot indent: use spaces",
  TAG_RESOLVE_FAILED: "unknown tag, or a tag that does not fit its value: remove it",
  UNEXPECTED_TOKEN: "this does not belong here: check the quotes, brackets and indentation before it",
};

/** What is wrong with the YAML, from the code of the fault. */
export const syntaxFault = (code: string): string => words[code] ?? "this is not valid YAML";
