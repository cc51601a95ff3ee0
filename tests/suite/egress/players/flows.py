"""Connections over time: live ones, inbound ones, replies, and ports that are used again."""

import contextlib
import socket
import struct
import threading

import itself
import wire
from sockets import answered

PORT, SERVER, LATE = 7000, 7100, 7200


def serve(case):
    """The pod's own server, for callers from everywhere: it echoes."""
    listener = socket.create_server(("::", SERVER), family=socket.AF_INET6, dualstack_ipv6=True, reuse_port=True)
    datagrams = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    datagrams.bind(("::", SERVER))

    def one(peer):
        with peer:
            while part := peer.recv(65536):
                peer.sendall(part)

    def streams():
        while True:
            threading.Thread(target=one, args=(listener.accept()[0],), daemon=True).start()

    def echo():
        while True:
            data, sender = datagrams.recvfrom(65536)
            datagrams.sendto(data, sender)

    threading.Thread(target=streams, daemon=True).start()
    threading.Thread(target=echo, daemon=True).start()
    return []


def opened(case):
    """Outbound connections, to where nobody may go later. Before the policy they are made, then used."""
    if case.before:
        for number, (family, address) in enumerate(targets(case)):
            sock = socket.socket(family, socket.SOCK_STREAM)
            sock.settimeout(2)
            sock.connect((address, PORT))
            case.keep[number] = sock
    return case.each(*(
        (label, lambda n: answered(case.keep[n], case.data(n)))
        for label in ("IPv4", "IPv6", "IPv4 through an IPv6 socket")
    ))


def targets(case):
    four, six = socket.AF_INET, socket.AF_INET6
    return (four, case.v4(0)), (six, case.v6(1)), (six, "::ffff:" + case.v4(2))


def inbound(case):
    """Played outside: calls the pod's server. Connections of before the policy go on; new ones come in."""
    lab = case.lab
    if case.before:
        for name, address in (("four", lab["me4"]), ("six", lab["me6"])):
            case.keep[name] = socket.create_connection((address, SERVER), timeout=2)

    def datagram(_):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(2)
            sock.sendto(case.data(), (lab["me4"], SERVER))
            return sock.recv(4096) == case.data()

    def ping(_):
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as sock:
            sock.settimeout(2)
            sock.sendto(wire.echo(case.data()), (lab["me4"], 0))
            return case.data() in sock.recv(4096)

    def ping6(_):
        with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as sock:
            sock.settimeout(2)
            # The kernel fills in the checksum.
            sock.sendto(wire.echo6("::", lab["me6"], case.data()), (lab["me6"], 0))
            # Neighbours are heard as well.
            while case.data() not in sock.recv(4096):
                pass
            return True

    def fresh(address):
        return lambda _: answered(socket.create_connection((address, SERVER), timeout=2), case.data())

    return case.each(
        ("live", lambda _: answered(case.keep["four"], case.data())),
        ("live, IPv6", lambda _: answered(case.keep["six"], case.data())),
        ("new", fresh(lab["me4"])), ("new, IPv6", fresh(lab["me6"])),
        ("a datagram and its answer", datagram), ("ping", ping), ("ping, IPv6", ping6),
    )


def to_itself(case):
    """A pod calls itself by its own addresses: nothing of that leaves it."""

    def stream(address):
        return lambda _: answered(socket.create_connection((address, SERVER), timeout=2), case.data())

    def datagram(_):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(2)
            sock.sendto(case.data(), (case.me4, SERVER))
            return sock.recv(4096) == case.data()

    return case.each(
        ("IPv4", stream(case.me4)), ("IPv6", stream(case.me6)),
        ("IPv4 through an IPv6 socket", stream("::ffff:" + case.me4)), ("a datagram", datagram),
    )


def call(case):
    """Played outside: calls the pod from a port that is known, and hangs up."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
        sock.setsockopt(socket.SOL_SOCKET, option, 1)
    # Nothing waits behind the end of the connection: the pod can use the same ports at once.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.bind((case.v4(case.args["variant"]), PORT + 100))
    sock.settimeout(2)
    sock.connect((case.lab["me4"], SERVER))
    said = answered(sock, case.data())
    sock.close()
    return [{"label": "the call", "answered": said, "said": ""}]


def back(case):
    """Calls back from the very port, to the very port, of a call that came in and has ended."""

    def dial(number):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.bind((case.me4, SERVER))
            sock.settimeout(1)
            sock.connect((case.v4(number), PORT + 100))
            return answered(sock, case.data(number))

    def by_hand(number):
        packet = wire.tcp(case.me4, case.v4(number), SERVER, PORT + 100, wire.SYN, case.data(number))
        wire.send4(wire.ip4(case.me4, case.v4(number), 6, packet), case.v4(number))

    return case.each(("connect", dial), ("a SYN made by hand", by_hand))


def forged(case):
    """As if somebody outside had come first: what comes in may be answered."""

    def datagram(deliver):
        def attempt(number):
            port = 4000 + number
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.bind((case.me4, port))
                sock.settimeout(0.1)
                came = wire.udp(case.v4(number), case.me4, PORT, port, b"come out")
                deliver(wire.ip4(case.v4(number), case.me4, 17, came))
                with contextlib.suppress(TimeoutError):
                    sock.recv(4096)
                answer = wire.udp(case.me4, case.v4(number), port, PORT, case.data(number))
                wire.send4(wire.ip4(case.me4, case.v4(number), 17, answer), case.v4(number))

        return attempt

    def call_(deliver):
        def attempt(number):
            came = wire.tcp(case.v4(number), case.me4, PORT, SERVER, wire.SYN, seq=999)
            deliver(wire.ip4(case.v4(number), case.me4, 6, came))
            answer = wire.tcp(case.me4, case.v4(number), SERVER, PORT, wire.ACK | wire.PSH, case.data(number))
            wire.send4(wire.ip4(case.me4, case.v4(number), 6, answer), case.v4(number))

        return attempt

    ways = itself.ways(case.me4)
    return case.each(
        *((f"UDP, {label}", datagram(deliver)) for label, deliver in ways),
        *((f"TCP, {label}", call_(deliver)) for label, deliver in ways),
    )


def allowed(case):
    """What the registry names goes through."""
    lab = case.lab
    family = {"4": socket.AF_INET, "6": socket.AF_INET6}

    def tcp(address, kind="4"):
        def attempt(_):
            with socket.socket(family[kind], socket.SOCK_STREAM) as sock:
                sock.settimeout(2)
                sock.connect((address, PORT))
                return answered(sock, case.data())

        return attempt

    def udp(address, kind="4", connected=False):
        def attempt(_):
            with socket.socket(family[kind], socket.SOCK_DGRAM) as sock:
                sock.settimeout(2)
                if connected:
                    sock.connect((address, PORT))
                sock.sendto(case.data(), (address, PORT)) if not connected else sock.send(case.data())
                return sock.recv(4096) == case.data()

        return attempt

    four, six = lab["good4"], lab["good6"]
    return case.each(
        ("TCP", tcp(four)), ("TCP, IPv6", tcp(six, "6")), ("TCP, IPv4 through an IPv6 socket", tcp("::ffff:" + four, "6")),
        ("UDP", udp(four)), ("UDP, IPv6", udp(six, "6")), ("UDP, IPv4 through an IPv6 socket", udp("::ffff:" + four, "6")),
        ("connected UDP", udp(four, connected=True)),
        ("itself on the loopback interface", loop(case)),
    )


def loop(case):
    def attempt(_):
        with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as sock:
            peer, _ = server.accept()
            sock.sendall(b"x")
            return peer.recv(1) == b"x"

    return attempt
