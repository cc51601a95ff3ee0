"""Sockets as any program may use them."""

import ctypes
import os
import socket
import struct
import tempfile

PORT = 7000
PATIENCE = 1.0
FASTOPEN_CONNECT = 30
libc = ctypes.CDLL(None, use_errno=True)


def mapped(address):
    return "::ffff:" + address


def answered(sock, data):
    """Whether the other side sends back what it got."""
    sock.settimeout(PATIENCE)
    sock.sendall(data)
    got = b""
    while len(got) < len(data):
        part = sock.recv(4096)
        if not part:
            return False
        got += part
    return got == data


def stream(family, address, data, before=None, proto=0, port=PORT):
    with socket.socket(family, socket.SOCK_STREAM, proto) as sock:
        if before:
            before(sock)
        sock.settimeout(PATIENCE)
        sock.connect((address, port))
        return answered(sock, data)


def tcp(case):
    four, six = socket.AF_INET, socket.AF_INET6

    def bound(number):
        def before(sock):
            # So that the port is free again at once.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.bind((case.me4, 5353))

        return stream(four, case.v4(number), case.data(number), before)

    def non_blocking(number):
        import select

        with socket.socket(four, socket.SOCK_STREAM) as sock:
            sock.setblocking(False)
            sock.connect_ex((case.v4(number), PORT))
            select.select([], [sock], [], PATIENCE)
            return answered(sock, case.data(number))

    return case.each(
        ("IPv4", lambda n: stream(four, case.v4(n), case.data(n))),
        ("IPv6", lambda n: stream(six, case.v6(n), case.data(n))),
        ("IPv4 through an IPv6 socket", lambda n: stream(six, mapped(case.v4(n)), case.data(n))),
        ("from port 5353", bound),
        ("without blocking", non_blocking),
        ("to port 53", lambda n: stream(four, case.v4(n), case.data(n), port=53)),
        ("to port 853", lambda n: stream(four, case.v4(n), case.data(n), port=853)),
        ("to port 53, IPv6", lambda n: stream(six, case.v6(n), case.data(n), port=53)),
    )


def multipath(case):
    return case.each(
        ("IPv4", lambda n: stream(socket.AF_INET, case.v4(n), case.data(n), proto=262)),
        ("IPv6", lambda n: stream(socket.AF_INET6, case.v6(n), case.data(n), proto=262)),
    )


def fast_open(case):
    """Data in the SYN, and a connect that is none yet."""
    with open("/proc/sys/net/ipv4/tcp_fastopen", "w", encoding="ascii") as setting:
        setting.write("5")  # Send data without a cookie.

    def at_once(number):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
            sock.settimeout(PATIENCE)
            sock.sendto(case.data(number), socket.MSG_FASTOPEN, (case.v4(number), PORT))
            return sock.recv(4096) == case.data(number)

    def deferred(number):
        return stream(
            socket.AF_INET, case.v4(number), case.data(number),
            lambda sock: sock.setsockopt(socket.IPPROTO_TCP, FASTOPEN_CONNECT, 1),
        )

    return case.each(("sendto", at_once), ("connect that waits for data", deferred))


def udp(case):
    def sendto(family, address, **rest):
        def send(number):
            with socket.socket(family, socket.SOCK_DGRAM, rest.get("proto", 0)) as sock:
                sock.sendto(case.data(number), (address(number), rest.get("port", PORT)))

        return send

    def connected(family, address):
        def send(number):
            with socket.socket(family, socket.SOCK_DGRAM) as sock:
                sock.connect((address(number), PORT))
                sock.send(case.data(number))

        return send

    def through6(number):
        return mapped(case.v4(number))

    four, six = socket.AF_INET, socket.AF_INET6
    return case.each(
        ("unconnected", sendto(four, case.v4)),
        ("unconnected, IPv6", sendto(six, case.v6)),
        ("unconnected, IPv4 through an IPv6 socket", sendto(six, through6)),
        ("connected", connected(four, case.v4)),
        ("connected, IPv6", connected(six, case.v6)),
        ("connected, IPv4 through an IPv6 socket", connected(six, through6)),
        ("UDP-Lite", sendto(four, case.v4, proto=136)),
        ("to port 53", sendto(four, case.v4, port=53)),
        ("to port 53, IPv6", sendto(six, case.v6, port=53)),
        ("QUIC's port", sendto(four, case.v4, port=443)),
    )


def disconnect(sock):
    """connect() to AF_UNSPEC, which Python has no name for."""
    nowhere = ctypes.create_string_buffer(16)
    if libc.connect(sock.fileno(), nowhere, 16) != 0:
        raise OSError(ctypes.get_errno(), "connect")


def second(case):
    """A socket that was allowed to go somewhere, and then goes elsewhere."""
    good = (case.lab["good4"], PORT)

    def sendto(number):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect(good)
            sock.send(b"hello")
            sock.sendto(case.data(number), (case.v4(number), PORT))

    def again(number):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect(good)
            sock.send(b"hello")
            sock.connect((case.v4(number), PORT))
            sock.send(case.data(number))

    def after_disconnect(kind):
        def send(number):
            with socket.socket(socket.AF_INET, kind) as sock:
                # Not settimeout: a refused connect of a non-blocking socket aborts the next.
                for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
                    sock.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", 1, 0))
                sock.connect(good)
                sock.send(b"hello")
                disconnect(sock)
                sock.connect((case.v4(number), PORT))
                sock.send(case.data(number))

        return send

    return case.each(
        ("connected UDP, sendto", sendto),
        ("UDP connected twice", again),
        ("UDP disconnected and connected", after_disconnect(socket.SOCK_DGRAM)),
        ("TCP disconnected and connected", after_disconnect(socket.SOCK_STREAM)),
    )


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_char_p), ("length", ctypes.c_size_t)]


class Message(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p), ("name_length", ctypes.c_uint),
        ("iov", ctypes.POINTER(Iovec)), ("iov_length", ctypes.c_size_t),
        ("control", ctypes.c_void_p), ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    ]


class CountedMessage(ctypes.Structure):
    _fields_ = [("message", Message), ("sent", ctypes.c_uint)]


def sockaddr(address, port=PORT):
    return struct.pack("=H", socket.AF_INET) + struct.pack("!H", port) + socket.inet_aton(address) + b"\0" * 8


def calls(case):
    """Other ways to hand data to a socket."""
    good = case.lab["good4"]

    def sendmmsg(number):
        messages = (CountedMessage * 2)()
        for counted, target in zip(messages, (good, case.v4(number))):
            data = case.data(number)
            iov = Iovec(data, len(data))
            counted.message.name, counted.message.name_length = sockaddr(target), 16
            counted.message.iov, counted.message.iov_length = ctypes.pointer(iov), 1
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            if libc.sendmmsg(sock.fileno(), messages, 2, 0) < 2:
                raise OSError(ctypes.get_errno(), "sendmmsg")

    def from_address(number):
        info = struct.pack("=I4s4s", 0, socket.inet_aton(case.me4), b"\0" * 4)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendmsg([case.data(number)], [(socket.IPPROTO_IP, 8, info)], 0, (case.v4(number), PORT))

    def segmented(number):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setsockopt(17, 103, 12)  # SOL_UDP, UDP_SEGMENT
            sock.sendto(case.data(number), (case.v4(number), PORT))

    def corked(number):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setsockopt(17, 1, 1)  # SOL_UDP, UDP_CORK
            sock.sendto(case.data(number), (case.v4(number), PORT))
            sock.setsockopt(17, 1, 0)

    return case.each(
        ("sendmmsg, the second message", sendmmsg),
        ("sendmsg from a given address", from_address),
        ("one datagram cut in two by the kernel", segmented),
        ("corked", corked),
    )


def from_file(sock, data):
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        os.sendfile(sock.fileno(), file.fileno(), 0, len(data))


def options(case):
    """Everything a pod may set, marks first: none of it is an identity."""

    def option(level, name, value):
        def send(number):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.setsockopt(level, name, value)
                sock.sendto(case.data(number), (case.v4(number), PORT))

        return send

    def stream_option(level, name, value):
        def send(number):
            def before(sock):
                sock.setsockopt(level, name, value)

            return stream(socket.AF_INET, case.v4(number), case.data(number), before)

        return send

    sol, ip = socket.SOL_SOCKET, socket.IPPROTO_IP
    marks = [(f"mark {mark:#x}", option(sol, 36, mark & 0x7FFFFFFF)) for mark in (1, 0x5, 0x57EE, 0x7FFFFFFF)]
    return case.each(
        *marks,
        ("mark on TCP", stream_option(sol, 36, 0x57EE)),
        ("priority", option(sol, socket.SO_PRIORITY, 6)),
        ("bound to the interface", option(sol, socket.SO_BINDTODEVICE, b"eth0\0")),
        ("type of service", option(ip, socket.IP_TOS, 0xFC)),
        ("transparent", option(ip, socket.IP_TRANSPARENT, 1)),
        ("free bind", option(ip, 15, 1)),
        ("no path discovery", option(ip, 10, 0)),
        ("past routing", stream_option(ip, 10, 3)),
        ("queue mapping by SO_INCOMING_CPU", option(sol, 49, 0)),
        ("transmit time", option(sol, 46, 0)),
        ("zero copy", option(sol, 60, 1)),
    )


def early(case):
    """Sockets of before the policy, which did everything already that they will do again."""
    if case.before:
        made = {
            "udp": socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
            "udp6": socket.socket(socket.AF_INET6, socket.SOCK_DGRAM),
            "connected": socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
            "fresh": socket.socket(socket.AF_INET, socket.SOCK_STREAM),
            "raw": socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW),
            "icmp": socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
            "packet": socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM),
            "file": socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
        }
        made["connected"].connect((case.v4(3), PORT))
        made["file"].connect((case.v4(7), PORT))
        case.keep.update(made)
    kept = case.keep
    import raw
    import wire

    to = wire.gateway()

    def connect(number):
        # Before the policy another one goes there: this one must still be unconnected then.
        if case.before:
            return stream(socket.AF_INET, case.v4(number), case.data(number))
        kept["fresh"].settimeout(PATIENCE)
        kept["fresh"].connect((case.v4(number), PORT))
        return answered(kept["fresh"], case.data(number))

    return case.each(
        ("UDP", lambda n: kept["udp"].sendto(case.data(n), (case.v4(n), PORT)) and None),
        ("UDP, IPv6", lambda n: kept["udp6"].sendto(case.data(n), (case.v6(n), PORT)) and None),
        ("TCP that connects late", connect),
        ("connected UDP", lambda n: kept["connected"].send(case.data(n)) and None),
        ("raw", lambda n: kept["raw"].sendto(raw.packet4(case, n), (case.v4(n), 0)) and None),
        ("raw ICMP", lambda n: kept["icmp"].sendto(wire.echo(case.data(n)), (case.v4(n), 0)) and None),
        ("packet", lambda n: kept["packet"].sendto(raw.packet4(case, n), ("eth0", 0x0800, 0, 0, to)) and None),
        ("sendfile on connected UDP", lambda n: from_file(kept["file"], case.data(n))),
    )
