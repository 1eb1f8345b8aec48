import { readDocument, type Source } from "../config/document.ts";
import { convert, type Conversion, headOf, mostSeries, type Report, sayMostSeries } from "./conversion.ts";
import { type Draft, remark } from "./draft.ts";
import { metricsOf } from "./ss-exporter-metrics.ts";
import { type SsExporterFile, ssExporterFile } from "./ss-exporter-schema.ts";
import { selectOf } from "./ss-exporter-select.ts";

const draftOf = ({ logic = {} }: SsExporterFile, report: Report): Draft => {
  const metrics = metricsOf(logic, report);
  const { select, says, needsProcess } = selectOf(logic.selection, report);
  return {
    head: headOf(
      "a prometheus_ss_exporter configuration",
      "Flows over IPv6 are here, too; the exporter sees IPv4 only. What the kernel does not tell of a flow is absent instead of 0.",
      needsProcess
        ? "Processes of other users are only found with CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH in the host's pid namespace; the privileged mode of the exporter's document is not needed."
        : undefined,
    ),
    file: {
      collection: {
        interval: remark(
          "15s",
          "The exporter reads the sockets at each scrape; here each tick does. This is the document's scrape_interval.",
        ),
      },
      sockets: {
        protocols: ["tcp"],
        max_groups: remark(mostSeries, sayMostSeries),
        select: select && remark(select, ...says),
      },
      host: "off",
      compat: [{ ss_exporter: metrics }],
      export: {
        prometheus: {
          listen: remark(
            "0.0.0.0:8020",
            "The exporter's own address: every machine that reaches this one can read the page. 127.0.0.1:8020 is for this one alone; basic_auth asks for a password.",
          ),
        },
      },
    },
  };
};

/** Reads a prometheus_ss_exporter file, in any of its spellings. */
export const convertSsExporter = (source: Source): Conversion =>
  convert(
    readDocument(source, undefined, () => ssExporterFile, "the file is empty: write logic: {} for the defaults"),
    draftOf,
  );
