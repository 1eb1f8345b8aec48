"""Sockets of every family that this kernel has, for families-scenario.ts: a line on stdout when they stand, then it waits for its stdin to end."""

import os
import socket
import sys

folder = sys.argv[1]
kept = []


def keep(made):
    kept.append(made)
    return made


def listen(kind, name, backlog):
    listener = keep(socket.socket(socket.AF_UNIX, kind))
    listener.bind(name)
    listener.listen(backlog)
    return listener


def connect(kind, name):
    keep(socket.socket(socket.AF_UNIX, kind)).connect(name)


# Unix: two connections wait, one is accepted; two listeners with one name; abstract names, one of no UTF-8.
path = f"{folder}/stream"
first = listen(socket.SOCK_STREAM, path, 5)
for _ in range(3):
    connect(socket.SOCK_STREAM, path)
keep(first.accept()[0])
os.unlink(path)
listen(socket.SOCK_STREAM, path, 7)
connect(socket.SOCK_STREAM, path)
listen(socket.SOCK_SEQPACKET, "\0packets", 3)
connect(socket.SOCK_SEQPACKET, "\0packets")
listen(socket.SOCK_STREAM, b"\0\xff\0z", 1)
keep(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
keep(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)).bind(f"{folder}/dgram")
kept.extend(socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))
kept.extend(socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET))

# Packet: one that is full.
ETH_P_ALL = 0x0300
full = keep(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, ETH_P_ALL))
full.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2304)
full.bind(("lo", 3))
keep(socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0))

# Netlink: one that hears a group and reads nothing, and one that is connected.
NETLINK_USERSOCK = 2
silent = keep(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_USERSOCK))
silent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2304)
silent.bind((0, 1))
sender = keep(socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, NETLINK_USERSOCK))
sender.connect((0, 1))

# MPTCP: a listener of each family, a connection, and its accepted end.
IPPROTO_MPTCP = 262
v4 = keep(socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP))
v4.bind(("127.0.0.1", 0))
v4.listen(4)
client = keep(socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP))
client.connect(v4.getsockname())
keep(v4.accept()[0])
client.send(b"x")
v6 = keep(socket.socket(socket.AF_INET6, socket.SOCK_STREAM, IPPROTO_MPTCP))
v6.bind(("::1", 0))
v6.listen(4)

# TCP: a TIME_WAIT socket of each family, at the end that closed first.
for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.bind((host, 0))
        listener.listen(1)
        with socket.socket(family, socket.SOCK_STREAM) as opened:
            opened.connect(listener.getsockname())
            accepted = listener.accept()[0]
        accepted.close()

udp = keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))


def flood():
    for _ in range(50):
        udp.sendto(bytes(500), ("127.0.0.1", 9))
        try:
            sender.send(bytes(500))
        except OSError:
            pass


flood()
print("standing", flush=True)
for line in sys.stdin:
    flood()
    print("flooded", flush=True)
