"""Packets that go elsewhere than their socket was allowed to."""

import socket
import struct
import threading
import time

import raw
from nested import ip
from sockets import answered

PORT = 7000
MPTCP = 262


def source_routes(case):
    """Connects to an allowed address by way of another: the packets are sent to that one."""
    good4, good6 = case.lab["good4"], case.lab["good6"]

    def loose(kind):
        def send(number):
            route = bytes([1, 131, 7, 4]) + socket.inet_aton(case.v4(number))
            with socket.socket(socket.AF_INET, kind) as sock:
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, route)
                sock.settimeout(0.3)
                try:
                    sock.connect((good4, PORT))
                except TimeoutError:
                    return
                if kind == socket.SOCK_DGRAM:
                    sock.send(case.data(number))

        return send

    def segments(kind):
        def send(number):
            hops = [socket.inet_pton(socket.AF_INET6, address) for address in (good6, case.v6(number))]
            # Segment routing: the last hop first, one segment left.
            header = struct.pack("!BBBBBBH", 0, 4, 4, 1, 1, 0, 0) + b"".join(hops)
            with socket.socket(socket.AF_INET6, kind) as sock:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RTHDR, header)
                sock.settimeout(0.3)
                try:
                    sock.connect((good6, PORT))
                except TimeoutError:
                    return
                if kind == socket.SOCK_DGRAM:
                    sock.send(case.data(number))

        return send

    return case.each(
        ("UDP", loose(socket.SOCK_DGRAM)), ("TCP", loose(socket.SOCK_STREAM)),
        ("UDP, IPv6", segments(socket.SOCK_DGRAM)), ("TCP, IPv6", segments(socket.SOCK_STREAM)),
    )


def announce(case):
    """Played outside: a server at the allowed address that asks its clients to come to another as well."""
    ip("mptcp", "limits", "set", "subflow", "4", "add_addr_accepted", "4")
    ip("mptcp", "endpoint", "flush")
    ip("mptcp", "endpoint", "add", case.v4(), "signal")
    if "server" not in case.keep:
        server = socket.socket(socket.AF_INET, socket.SOCK_STREAM, MPTCP)
        for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
            server.setsockopt(socket.SOL_SOCKET, option, 1)
        server.bind((case.lab["good4"], PORT))
        server.listen()
        case.keep["server"] = server

        def serve():
            while True:
                peer, _ = server.accept()
                threading.Thread(target=echo, args=(peer,), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
    return []


def echo(peer):
    with peer:
        while part := peer.recv(65536):
            peer.sendall(part)


def follow(case):
    """The kernel opens a second path of an allowed connection, to where its server says."""
    ip("mptcp", "limits", "set", "subflow", "4", "add_addr_accepted", "4")

    def connect(number):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM, MPTCP) as sock:
            sock.settimeout(2)
            sock.connect((case.lab["good4"], PORT))
            # The connection itself is allowed.
            if not answered(sock, case.data(number)):
                raise OSError(104, "the allowed path does not work")
            time.sleep(0.3)

    return case.each(("a path that the server announces", connect))


def raw_elsewhere(case):
    """A raw socket that is connected to an allowed address and writes another into its packets."""
    def send(number):
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as sock:
            sock.connect((case.lab["good4"], 0))
            sock.send(raw.packet4(case, number))

    return case.each(("connected to an allowed address", send))
