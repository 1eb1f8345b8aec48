"""What prometheus_ss_exporter's collection gets from pyroute2's ss2, with the processes of the sockets: a JSON array of
the flows, each with the exporter's label of the two ends, the values that its metrics are made of, and the pids."""

import json
from types import SimpleNamespace

import pyroute2.netlink.diag.ss2 as ss2

ss2.RUN_AS_MODULE = True
arguments = SimpleNamespace(tcp=True, process=True, resolve=False, listen=False, all=False, unix=False)
VALUES = ["rtt", "snd_cwnd", "delivery_rate", "data_segs_in", "data_segs_out"]


def shown(flow):
    # The kernel gives none of what it keeps of a socket that is closed.
    info = flow.get("tcp_info")
    pids = [int(pid) for processes in flow.get("usr_ctxt", {}).values() for pid in processes]
    return {
        "flow": "(SRC#{src}|{src_port})(DST#{dst}|{dst_port})".format(**flow),
        "state": info and info["state"],
        "values": info and {name: info[name] for name in VALUES},
        "pids": pids,
    }


print(json.dumps([shown(flow) for flow in ss2.run(arguments)[0]["TCP"]["flows"]]))
