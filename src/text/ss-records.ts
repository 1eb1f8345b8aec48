/** One socket of the output of ss(8): its line, and the lines below it that belong to it, joined by spaces. */
export type SsRecord = { readonly line: string; info: string };

export type SsRecords = {
  /** Lines that belong to no socket, and sockets whose lines are too long. */
  skipped: number;
  /** Where the column Send-Q starts, if nothing is between it and the one before it (iproute2 4.15 to 4.19); else 0. */
  sendColumn: number;
  /** The sockets that this piece of the text completes. */
  push(text: string): SsRecord[];
  /** The last one. */
  end(): SsRecord[];
};

const header = /^(?:Netid|State|Recv-Q)\s*(?:State|Recv-Q|Send-Q)/;
/** An association below its SCTP endpoint is a socket of its own. */
const association = /^\s*`- /;

/**
 * Splits text that comes in pieces. A line that starts with white space goes on with the socket above it. What is kept
 * is one unfinished socket of at most `maxLength` characters.
 */
export const createSsRecords = (maxLength = 1_048_576): SsRecords => {
  let rest = "";
  let current: SsRecord | undefined;
  let overlong = false;

  const finish = (done: SsRecord[]): void => {
    if (current !== undefined) done.push(current);
    current = undefined;
  };

  const take = (line: string, done: SsRecord[]): void => {
    if (line.trim() === "") return;
    if (/^\s/.test(line) && !association.test(line)) {
      if (current === undefined) {
        if (!overlong) records.skipped++;
      } else if (current.info.length + line.length > maxLength) {
        records.skipped++;
        overlong = true;
        current = undefined;
      } else current.info += ` ${line.trim()}`;
      return;
    }
    finish(done);
    overlong = false;
    if (header.test(line)) records.sendColumn = line.includes("Recv-QSend-Q") ? line.indexOf("Send-Q") : 0;
    else current = { line, info: "" };
  };

  /** The end of a line whose start was too long to keep. */
  let dropping = false;
  const records: SsRecords = {
    skipped: 0,
    sendColumn: 0,
    push(text) {
      const done: SsRecord[] = [];
      const lines = text.split("\n");
      const last = lines.pop() ?? "";
      for (const line of lines) {
        if (!dropping) take(rest + line, done);
        dropping = false;
        rest = "";
      }
      if (dropping) return done;
      rest += last;
      if (rest.length > maxLength) {
        // It takes the socket with it that it belongs to, or is.
        if (/^\s/.test(rest)) current = undefined;
        else finish(done);
        records.skipped++;
        overlong = true;
        dropping = true;
        rest = "";
      }
      return done;
    },
    end() {
      const done: SsRecord[] = [];
      if (!dropping) take(rest, done);
      rest = "";
      dropping = false;
      finish(done);
      return done;
    },
  };
  return records;
};
