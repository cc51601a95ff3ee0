"""Plays steps on one socket and prints what each said, as a JSON list of strings.

usage: sockets.py KIND STEP...   KIND: tcp4, tcp6, udp4, udp6
"""

import ctypes
import errno
import json
import socket
import struct
import sys

libc = ctypes.CDLL(None, use_errno=True)


def address(text):
    host, port = text.rsplit(":", 1)
    return host.strip("[]"), int(port)


def shown(name):
    host, port = name[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def line(data):
    return data.decode().strip()


def disconnect(sock):
    """connect() to AF_UNSPEC, which Python has no name for."""
    nowhere = ctypes.create_string_buffer(16)
    if libc.connect(sock.fileno(), nowhere, 16) != 0:
        raise OSError(ctypes.get_errno(), "connect")


def play(sock, step):
    word, _, rest = step.partition(" ")
    if word == "connect":
        sock.connect(address(rest))
    elif word == "disconnect":
        disconnect(sock)
    elif word == "peer":
        return shown(sock.getpeername())
    elif word == "send":
        sock.send(b"who\n")
    elif word == "sendto":
        sock.sendto(b"who\n", address(rest))
    elif word == "sendmsg":
        sock.sendmsg([b"who\n"], [], 0, address(rest))
    elif word == "recv":
        return line(sock.recv(256))
    elif word == "recvfrom":
        data, name = sock.recvfrom(256)
        return f"{line(data)} from {shown(name)}"
    elif word == "recvmsg":
        data, _, _, name = sock.recvmsg(256)
        return f"{line(data)} from {shown(name)}"
    else:
        raise ValueError(step)
    return "ok"


def main():
    kind, steps = sys.argv[1], sys.argv[2:]
    family = socket.AF_INET6 if kind.endswith("6") else socket.AF_INET
    transport = socket.SOCK_STREAM if kind.startswith("tcp") else socket.SOCK_DGRAM
    said = []
    with socket.socket(family, transport) as sock:
        # Not settimeout: it makes the socket non-blocking, and a refused connect then aborts the next.
        patience = struct.pack("ll", 5, 0)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, patience)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, patience)
        for step in steps:
            try:
                said.append(play(sock, step))
            except OSError as error:
                said.append(errno.errorcode.get(error.errno, str(error)))
    print(json.dumps(said))


main()
