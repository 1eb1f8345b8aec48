import { crc32 } from "node:zlib";
import type { Compression, OtlpProtocol } from "../model/config.ts";

/** How a body is written. */
export type OtlpFormat = "protobuf" | "json";

export const formats: Readonly<Record<OtlpProtocol, OtlpFormat>> = {
  "http/protobuf": "protobuf",
  "http/json": "json",
  grpc: "protobuf",
};

/** A body as it is sent; what it was made with may not be what is configured by now. */
export type Content = {
  readonly body: Uint8Array;
  readonly encoding: Compression;
  readonly format: OtlpFormat;
};

/** A request on disk. `sequence` is at most 2^53 - 1, `points` at most 2^32 - 1. */
export type RequestRecord = Content & { readonly sequence: number; readonly points: number };

/**
 * The header, little-endian: 4 bytes magic, 1 version, 1 encoding, 1 format, 1 zero, 8 sequence number, 4 points, 4 length of the
 * body, 4 CRC-32 of all that and the body. The body follows.
 */
export const headerBytes = 28;
const summedBytes = 24;

const magic = 0x51_43_4f_53;
const version = 1;

/** Their numbers on disk: they stay, whatever others come. */
const encodings: readonly Compression[] = ["none", "gzip", "zstd"];
const numberedFormats: readonly OtlpFormat[] = ["protobuf", "json"];

const checksum = (header: Uint8Array, body: Uint8Array): number => crc32(body, crc32(header.subarray(0, summedBytes)));

/** The header of a record; its body follows in the file. */
export const encodeHeader = ({ body, encoding, format, sequence, points }: RequestRecord): Uint8Array => {
  const header = new Uint8Array(headerBytes);
  const view = new DataView(header.buffer);
  view.setUint32(0, magic, true);
  view.setUint8(4, version);
  view.setUint8(5, encodings.indexOf(encoding));
  view.setUint8(6, numberedFormats.indexOf(format));
  view.setBigUint64(8, BigInt(sequence), true);
  view.setUint32(16, points, true);
  view.setUint32(20, body.length, true);
  view.setUint32(summedBytes, checksum(header, body), true);
  return header;
};

/** The record that these bytes are, or undefined where they are not exactly one. The body shares their memory. */
export const decodeRecord = (bytes: Uint8Array): RequestRecord | undefined => {
  if (bytes.length < headerBytes) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const body = bytes.subarray(headerBytes);
  const encoding = encodings[view.getUint8(5)];
  const format = numberedFormats[view.getUint8(6)];
  if (view.getUint32(0, true) !== magic || view.getUint8(4) !== version) return undefined;
  if (encoding === undefined || format === undefined) return undefined;
  if (view.getUint32(20, true) !== body.length || view.getUint32(summedBytes, true) !== checksum(bytes, body))
    return undefined;
  return { body, encoding, format, sequence: Number(view.getBigUint64(8, true)), points: view.getUint32(16, true) };
};
