/** Headers that the exporter sets, or that HTTP keeps to the connection. */
const own = new Set([
  "connection",
  "content-encoding",
  "content-length",
  "content-type",
  "expect",
  "keep-alive",
  "transfer-encoding",
  "upgrade",
]);

/** What is wrong with a header's name. */
export const headerNameFault = (name: string): string | undefined => {
  if (!/^[!#$%&'*+.^_`|~\w-]+$/.test(name))
    return "is not the name of an HTTP header: letters, digits, - and _ are allowed";
  return own.has(name.toLowerCase()) ? "is a header that sockscope sets itself" : undefined;
};

/** What is wrong with a header's value, in words that do not hold it. */
export const headerValueFault = (value: string): string | undefined =>
  /^[\t\x20-\x7e\x80-\xff]*$/.test(value) ? undefined : "must be one line of Latin-1 text without control characters";
