"""Run by namespaces-scenario.ts: sockets in network namespaces, as the lines on its stdin ask for them.

Its arguments are files of namespaces. Each command is answered by a line with the same word. Everything is on 127.0.0.1.
"""

import ctypes
import fcntl
import os
import socket
import struct
import sys
import time

CLONE_NEWNET = 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
HOST, PORT, CLIENT, UDP = "127.0.0.1", 8080, 40000, 9000

libc = ctypes.CDLL(None, use_errno=True)
home = os.open("/proc/self/ns/net", os.O_RDONLY)
files = [os.open(path, os.O_RDONLY) for path in sys.argv[1:]]
held = []


def check(result):
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def enter(file):
    check(libc.setns(file, CLONE_NEWNET))


def up():
    """Brings the loopback of this namespace up."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(control, SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))


def listen():
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((HOST, PORT))
    listener.listen(8)
    return listener


def connect(listener, port=0):
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    client.bind((HOST, port))
    client.connect((HOST, PORT))
    return client, listener.accept()[0]


def send(client, server, size):
    client.sendall(bytes(size))
    while size > 0:
        size -= len(server.recv(size))


def talk(listener, size):
    """A connection of `size` bytes, whose client closes first."""
    client, server = connect(listener)
    send(client, server, size)
    client.close()
    assert server.recv(1) == b""
    server.close()


def command_open():
    for file in files:
        enter(file)
        up()
        listener = listen()
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind((HOST, UDP))
        held.append((listener, udp, *connect(listener, CLIENT)))
    enter(home)


def command_send():
    for index, (_, _, client, server) in enumerate(held):
        send(client, server, 1000 + index)


def command_short(count):
    # A socket stays in its namespace; a new one is made where this process is.
    for index, file in enumerate(files):
        enter(file)
        for _ in range(count):
            talk(held[index][0], 100 + index)
    enter(home)


def command_close():
    for sockets in held:
        for each in sockets:
            each.close()
    held.clear()


def command_churn(rounds):
    """Namespaces one after the other, each with connections of its own."""
    for _ in range(rounds):
        check(libc.unshare(CLONE_NEWNET))
        up()
        with listen() as listener:
            talk(listener, 10)
            # Long enough for some to be met.
            time.sleep(0.001)
    enter(home)


for line in sys.stdin:
    word, *numbers = line.split()
    globals()["command_" + word](*map(int, numbers))
    print(word, flush=True)
