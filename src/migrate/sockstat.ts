import { headOf } from "./conversion.ts";
import type { Draft } from "./draft.ts";
import { remark } from "./draft.ts";

/** What replaces the recipe of a cron job that sends /proc/net/sockstat to Datadog. It has no file. */
export const sockstatDraft: Draft = {
  head: headOf(
    "Datadog's sockstat recipe",
    "In use counts the IPv4 sockets of every state but TIME_WAIT and CLOSE, listening ones too, and not only the established ones that the recipe speaks of; those by state are system.network.connection.count. TW is a number of sockets, not of milliseconds. The kernel has mem in pages; here it is in KB whatever the size of a page.",
  ),
  file: {
    collection: { interval: remark("1m", "cron's shortest.") },
    sockets: remark("off", "The recipe reads no single sockets; `on` adds connections by state, flows and listeners."),
    host: { sockstat: "on" },
    compat: ["sockstat"],
    export: {
      otlp: remark(
        { endpoint: "http://localhost:4318" },
        "The Datadog Agent of this machine, with its OTLP receiver switched on (otlp_config.receiver.protocols.http). No API key is needed here, and no cron job.",
      ),
    },
  },
};
