/** Reads `name=value,name2=value2`, percent-decoded, as W3C baggage has it; undefined when any of it is malformed. */
export const parsePairs = (text: string): Readonly<Record<string, string>> | undefined => {
  const pairs: [string, string][] = [];
  for (const member of text.split(",")) {
    if (member.trim() === "") continue;
    const [, name, value] = /^([^=]+)=(.*)$/s.exec(member) ?? [];
    if (name === undefined || value === undefined) return undefined;
    try {
      pairs.push([decodeURIComponent(name.trim()), decodeURIComponent(value.trim())]);
    } catch {
      return undefined;
    }
  }
  // As a key of an object it would set the prototype.
  if (pairs.some(([name]) => name === "" || name === "__proto__")) return undefined;
  return Object.fromEntries(pairs);
};
