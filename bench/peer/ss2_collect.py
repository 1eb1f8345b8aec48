"""prometheus_ss_exporter's collection on its own: pyroute2's ss2 with the processes of the sockets, a gauge each of RTT,
congestion window and delivery rate a flow, an RTT histogram, and the page. Prints one line of JSON: the CPU of a
collection in us, the peak of resident memory in KB, and the flows of a collection.

    ss2_collect.py COLLECTIONS [--without-processes]

Host names are not resolved, and the families are new in each collection: the exporter does a DNS query a flow, and
keeps every sample that it ever had.
"""

import bisect
import json
import resource
import sys
from types import SimpleNamespace

import pyroute2.netlink.diag.ss2 as ss2
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily

BOUNDS = [0.1, 0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000]
GAUGES = {"rtt": "tcp_rtt", "snd_cwnd": "tcp_cwnd", "delivery_rate": "tcp_delivery_rate"}


class Collector:
    def __init__(self, processes):
        ss2.RUN_AS_MODULE = True
        self.args = SimpleNamespace(tcp=True, process=processes, resolve=False, listen=False, all=False, unix=False)
        self.flows = 0

    def collect(self):
        flows = ss2.run(self.args)[0]["TCP"]["flows"]
        gauges = {field: GaugeMetricFamily(name, name, labels=["flow"]) for field, name in GAUGES.items()}
        buckets, total = [0] * (len(BOUNDS) + 1), 0
        for flow in flows:
            key = "(SRC#{src}|{src_port})(DST#{dst}|{dst_port})".format(**flow)
            info = flow["tcp_info"]
            for field, gauge in gauges.items():
                gauge.add_metric([key], info[field])
            buckets[bisect.bisect_left(BOUNDS, info["rtt"])] += 1
            total += info["rtt"]
        yield from gauges.values()
        histogram = HistogramMetricFamily("tcp_rtt_hist_ms", "tcp_rtt_hist_ms")
        bounds = [str(bound) for bound in BOUNDS] + ["+Inf"]
        histogram.add_metric([], [[bound, sum(buckets[: at + 1])] for at, bound in enumerate(bounds)], total)
        yield histogram
        self.flows = len(flows)


def cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def peak():
    """In KB. Not getrusage's, which begins with that of the process that executed this one."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))


def main():
    collections, collector = int(sys.argv[1]), Collector("--without-processes" not in sys.argv)
    registry = CollectorRegistry(auto_describe=False)
    # Registering would collect once.
    collector.describe = lambda: []
    registry.register(collector)
    start = cpu()
    for _ in range(collections):
        generate_latest(registry)
    used = round((cpu() - start) / collections * 1e6)
    print(json.dumps({"cpu": used, "peak": peak(), "metrics": collector.flows}))


main()
