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

/** What gRPC sets itself, and what HTTP/2 does not have, beside what HTTP keeps to itself in any case. */
const ownOfGrpc = /^(?:grpc-.*|te|host|http2-settings|proxy-connection)$/;

/** What is wrong with a header's name for gRPC, of which headers are metadata, where HTTP would take it. */
export const grpcNameFault = (name: string): string | undefined => {
  const key = name.toLowerCase();
  if (!/^[\w.-]+$/.test(key)) return "is not a name of gRPC metadata: letters, digits, -, _ and . are allowed";
  if (ownOfGrpc.test(key)) return "is a header that gRPC keeps to itself";
  return key.endsWith("-bin") ? "is for bytes, by its end -bin, and sockscope sends text only" : undefined;
};

/** What is wrong with a header's value for gRPC, in words that do not hold it. */
export const grpcValueFault = (value: string): string | undefined =>
  /^[\x20-\x7e]*$/.test(value) ? undefined : "must be printable ASCII for grpc";
