"""First bytes: TLS hellos and HTTP requests to an address that serves an allowed name and another."""

import socket
import ssl
import struct
import time

import wire

OTHER, GOOD = "other.example", "good.example"
# What a line takes there and back between continents.
GAP = 0.06
PATIENCE = 2


def dial(case, port, before=None):
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.settimeout(PATIENCE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if before:
        before(sock)
    sock.connect((case.lab["good4"], port))
    return sock


def everything(sock):
    """What comes until the other side has no more to say for a moment, or ends."""
    got = b""
    try:
        while part := sock.recv(65536):
            got += part
            sock.settimeout(0.2)
    except TimeoutError:
        pass
    return got


class Hello:
    """A genuine hello of OpenSSL, and the rest of its conversation."""

    def __init__(self, name, protocols=()):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if protocols:
            context.set_alpn_protocols(list(protocols))
        self.name = name
        self.into, self.out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.into, self.out, server_hostname=name)
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        self.bytes = self.out.read()

    def in_records(self, size):
        """The same hello in several records."""
        body = self.bytes[5:]
        parts = [body[at : at + size] for at in range(0, len(body), size)]
        return b"".join(self.bytes[:3] + struct.pack("!H", len(part)) + part for part in parts)

    def middle_of_name(self):
        return self.bytes.index(self.name.encode()) + 4

    def answered(self, sock):
        """Whether the server goes through with it and serves something."""
        step = self.tls.do_handshake
        while True:
            try:
                step()
            except ssl.SSLWantReadError:
                sock.sendall(self.out.read())
                part = sock.recv(65536)
                if not part:
                    return False
                self.into.write(part)
                continue
            break
        host = self.name or "none.example"
        self.tls.write(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        sock.sendall(self.out.read())
        got = b""
        while b"served as" not in got:
            try:
                part = self.tls.read(65536)
                if not part:
                    return False
                got += part
            except ssl.SSLWantReadError:
                more = sock.recv(65536)
                if not more:
                    return False
                self.into.write(more)
        return True


def send(sock, data, cuts=(), gap=0.0):
    at = 0
    for cut in (*cuts, len(data)):
        sock.sendall(data[at:cut])
        at = cut
        if gap and at < len(data):
            time.sleep(gap)


def shaken(case, name, shape=None, cuts=None, gap=0.0, protocols=(), before=None):
    """Sends a hello and goes through with it."""
    hello = Hello(name, protocols)
    data = shape(hello) if shape else hello.bytes
    with dial(case, 443, before) as sock:
        send(sock, data, cuts(hello, data) if cuts else (), gap)
        return hello.answered(sock)


# A server refuses a client with whom it shares no protocol.
LONG = ("http/1.1", *(f"{number:03}" + "x" * 240 for number in range(22)))


def manners(case, name):
    """The same hello in every manner in which a hello comes."""
    return (
        ("at once", lambda _: shaken(case, name)),
        ("byte for byte", lambda _: shaken(case, name, cuts=lambda _, data: range(1, len(data)), gap=0.0003)),
        ("cut in the name at 60 ms", lambda _: shaken(
            case, name, cuts=lambda hello, _: (hello.middle_of_name(),), gap=GAP)),
        ("its first byte alone at 60 ms", lambda _: shaken(case, name, cuts=lambda *_: (1,), gap=GAP)),
        ("in records of 50 bytes", lambda _: shaken(case, name, shape=lambda hello: hello.in_records(50))),
        ("5 KB long", lambda _: shaken(case, name, protocols=LONG)),
        ("5 KB long, in three parts at 60 ms", lambda _: shaken(
            case, name, protocols=LONG, cuts=lambda *_: (1500, 3000), gap=GAP)),
    )


def tls_good(case):
    return case.each(*manners(case, GOOD))


def tls_other(case):
    return case.each(*manners(case, OTHER))


def tls_odd(case):
    def plain(_):
        with dial(case, 443) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: good.example\r\n\r\n")
            return bool(everything(sock))

    def early(_):
        hello = Hello(OTHER)
        with open("/proc/sys/net/ipv4/tcp_fastopen", "w", encoding="ascii") as setting:
            setting.write("5")
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
            sock.settimeout(PATIENCE)
            sock.sendto(hello.bytes, socket.MSG_FASTOPEN, (case.lab["good4"], 443))
            return hello.answered(sock)

    return case.each(
        ("no name", lambda _: shaken(case, None)),
        ("no TLS at all", plain),
        ("another name in the SYN", early),
        ("an allowed name first, with a wrong checksum", lambda _: replaced(case, spoil=True)),
        ("an allowed name first, that dies on the way", lambda _: replaced(case, ttl=1)),
        ("an allowed name first, of an older sequence", lambda _: replaced(case, shift=-4000)),
        ("an allowed name first, far ahead in sequence", lambda _: replaced(case, shift=100000)),
    )


def replaced(case, spoil=False, ttl=64, shift=0):
    """Shows a hello with an allowed name that never arrives, then sends another in its place."""
    good, other = Hello(GOOD), Hello(OTHER)
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3)) as seen:
        seen.bind(("eth0", 3))
        seen.settimeout(PATIENCE)
        with dial(case, 443) as sock:
            port = sock.getsockname()[1]
            seq, ack = numbers(seen, port)
            segment = wire.tcp(
                case.me4, case.lab["good4"], port, 443, wire.ACK | wire.PSH, good.bytes, seq + shift, ack, spoil
            )
            wire.frame(wire.ip4(case.me4, case.lab["good4"], 6, segment, ttl=ttl), wire.gateway())
            time.sleep(0.02)
            sock.sendall(other.bytes)
            return other.answered(sock)


def numbers(seen, port):
    """The numbers of the segment that completed the connection from `port`."""
    while True:
        packet = seen.recv(65536)
        if packet[0] != 0x45 or packet[9] != 6:
            continue
        source, _, seq, ack, _, flags = struct.unpack_from("!HHIIBB", packet, 20)
        if source == port and flags & wire.ACK and not flags & wire.SYN:
            return seq, ack


def request(host, line="GET / HTTP/1.1", end="\r\n", name="Host", more=""):
    head = [line] + ([f"{name}: {host}"] if host else []) + [more] * bool(more) + ["Connection: close", "", ""]
    return end.join(head).encode()


def fetched(case, data, wanted=b"served as", cuts=(), gap=0.0):
    with dial(case, 80) as sock:
        send(sock, data, cuts, gap)
        got = everything(sock)
        return bool(got) and wanted in got


def http_good(case):
    plain = request(GOOD)
    return case.each(
        ("at once", lambda _: fetched(case, plain)),
        ("byte for byte", lambda _: fetched(case, plain, cuts=range(1, len(plain)), gap=0.0003)),
        ("cut in the name at 60 ms", lambda _: fetched(case, plain, cuts=(plain.index(b"good") + 2,), gap=GAP)),
        ("with a port", lambda _: fetched(case, request(GOOD + ":80"))),
        ("in capitals", lambda _: fetched(case, request(GOOD.upper(), name="HOST"))),
        ("behind 3 KB of headers", lambda _: fetched(
            case, request(GOOD).replace(b"Host", b"X: " + b"x" * 3000 + b"\r\nHost"))),
        ("a subdomain", lambda _: fetched(case, request("www." + GOOD))),
    )


def http_other(case):
    plain, other = request(OTHER), b"other"
    hidden = b"GET / HTTP/1.1\nHost: other.example\n\nX: y\r\nHost: good.example\r\n\r\n"
    return case.each(
        ("at once", lambda _: fetched(case, plain, other)),
        ("byte for byte", lambda _: fetched(case, plain, other, range(1, len(plain)), 0.0003)),
        ("cut in the name at 60 ms", lambda _: fetched(case, plain, other, (plain.index(b"other") + 2,), GAP)),
        ("in mixed case", lambda _: fetched(case, request(OTHER, name="hOsT"), other)),
        ("behind an empty line", lambda _: fetched(case, b"\r\n" + plain, other)),
        ("lines without carriage returns", lambda _: fetched(case, request(OTHER, end="\n"), other)),
        ("hidden from who splits at carriage returns", lambda _: fetched(case, hidden, other)),
        ("in the request's line", lambda _: fetched(case, request(GOOD, f"GET http://{OTHER}/ HTTP/1.1"), other)),
        ("behind 7 KB of headers", lambda _: fetched(
            case, plain.replace(b"Host", b"X: " + b"x" * 7000 + b"\r\nHost"), other)),
        ("behind 20 KB of headers", lambda _: fetched(
            case, plain.replace(b"Host", (b"X: " + b"x" * 5000 + b"\r\n") * 4 + b"Host"), other)),
        ("no name", lambda _: fetched(case, request(None, "GET / HTTP/1.0"))),
        ("version 0.9", lambda _: fetched(case, b"GET /\r\n")),
        ("no HTTP at all", lambda _: fetched(case, b"\x16\x03\x01 hello\r\n\r\n", b"")),
        ("the end of the allowed name", lambda _: fetched(case, request("notgood.example"))),
        ("urgent bytes, which the server does not read", lambda _: urgent(case)),
    )


def urgent(case):
    """The server loses what is sent out of band: it reads another Host than who counts every byte."""
    with dial(case, 80) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\n")
        for out_of_band, rest in ((b"H", b"ost: good.example\r\n"), (b"X", b"Host: other.example\r\n")):
            time.sleep(0.05)
            sock.send(out_of_band, socket.MSG_OOB)
            time.sleep(0.05)
            sock.sendall(rest)
        time.sleep(0.05)
        sock.sendall(b"Connection: close\r\n\r\n")
        return b"other" in everything(sock)
