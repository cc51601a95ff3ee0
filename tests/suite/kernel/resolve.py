"""Asks a resolver, connects at once to the last address of the answer, and prints what came of it.

usage: resolve.py udp|tcp RESOLVER NAME A|AAAA PORT TIMES
Prints a JSON list: "ok", the name of an errno, or "silence".
"""

import errno
import json
import random
import socket
import struct
import sys

KINDS = {"A": 1, "AAAA": 28}


def query(name, kind, number):
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    edns = struct.pack("!BHHIH", 0, 41, 1232, 0, 0)
    head = struct.pack("!HHHHHH", number, 0x0100, 1, 0, 0, 1)
    return head + labels + b"\0" + struct.pack("!HH", KINDS[kind], 1) + edns


def ask_udp(resolver, message):
    family = socket.AF_INET6 if ":" in resolver else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(1)
        sock.sendto(message, (resolver, 53))
        return sock.recv(4096)


def ask_tcp(resolver, message):
    with socket.create_connection((resolver, 53), 2) as sock:
        sock.sendall(struct.pack("!H", len(message)) + message)
        (length,) = struct.unpack("!H", sock.recv(2))
        data = b""
        while len(data) < length:
            data += sock.recv(length - len(data))
        return data


def skip_name(data, at):
    while data[at]:
        if data[at] >= 0xC0:
            return at + 2
        at += 1 + data[at]
    return at + 1


def addresses(data, kind):
    (answers,) = struct.unpack_from("!H", data, 6)
    at = skip_name(data, 12) + 4
    found = []
    for _ in range(answers):
        at = skip_name(data, at)
        (what, _, _, length) = struct.unpack_from("!HHIH", data, at)
        at += 10
        if what == KINDS[kind]:
            family = socket.AF_INET6 if kind == "AAAA" else socket.AF_INET
            found.append(socket.inet_ntop(family, data[at : at + length]))
        at += length
    return found


def once(how, resolver, name, kind, port):
    message = query(name, kind, random.randrange(65536))
    try:
        data = (ask_udp if how == "udp" else ask_tcp)(resolver, message)
    except socket.timeout:
        return "silence"
    found = addresses(data, kind)
    if not found:
        return "no address"
    address = found[-1]
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.settimeout(2)
        try:
            sock.connect((address, port))
        except socket.timeout:
            return "timeout"
        except OSError as error:
            return errno.errorcode.get(error.errno, str(error))
    return "ok"


def main():
    how, resolver, name, kind, port, times = sys.argv[1:]
    print(json.dumps([once(how, resolver, name, kind, int(port)) for _ in range(int(times))]))


main()
