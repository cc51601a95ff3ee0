"""Names: answers that are forged, unasked for, malformed, or lead where nobody may go.

Every attack ends the same way: a connection to an address that only such an answer could have allowed.
"""

import contextlib
import socket
import struct
import threading

import itself
import message
import wire
from sockets import answered, stream

PORT = 7000
# How long an answer may take that must come, and how long is waited for one that need not.
ANSWERED, SILENCE = 2.0, 0.4


def connect(case, address, port=PORT):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return stream(family, address, case.data(), port=port)


@contextlib.contextmanager
def client(case, wait=SILENCE):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(wait)
        sock.bind((case.me4, 0))
        yield sock


def ask(case, kind, address, resolver=None, qtype=message.A, wait=SILENCE, **rest):
    """Asks for a name of an allowed host whose answer is `address`, in the manner `kind`."""
    query = message.question(f"{kind}.{message.coded(address)}.good.example", qtype, **rest)
    with client(case, wait) as sock:
        sock.sendto(query, (resolver or case.lab["scripted4"], 53))
        try:
            return sock.recv(4096)
        except TimeoutError:
            return None


def teaching(case, kind, **rest):
    """An attempt: ask in a manner, then go there."""

    def attempt(number):
        ask(case, kind, case.v4(number), **rest)
        return connect(case, case.v4(number))

    return attempt


def control(case):
    """An honest answer opens the way: everything else here means something only if this works."""

    def honest(kind, **rest):
        return teaching(case, kind, wait=ANSWERED, **rest)

    def six(number):
        ask(case, "plain", case.v6(number), qtype=message.AAAA, wait=ANSWERED)
        return connect(case, case.v6(number))

    def together(number):
        """Clients number questions at random, those that they ask at once as well."""
        name = "plain.{}.good.example".format
        questions = (
            message.question(name(message.coded(case.v4(number))), number=4711),
            message.question(name(message.coded(case.v6(number))), message.AAAA, number=4711),
        )
        with client(case, ANSWERED) as sock:
            for query in questions:
                sock.sendto(query, (case.lab["scripted4"], 53))
            answers = {sock.recv(4096) for _ in questions}
        return len(answers) == 2 and connect(case, case.v4(number))

    return case.each(
        ("A", honest("plain")),
        ("AAAA", six),
        ("through three aliases", honest("alias")),
        ("with EDNS", honest("plain", edns=True)),
        ("the last of 25", honest("many")),
        ("two questions of one number", together),
    )


def owners(case):
    """Whose an address is called does not matter: the resolver may as well call it the question's."""
    kinds = (
        ("stranger", "another name's"),
        ("loop", "an owner that points to itself"),
        ("mutual", "two owners that point to each other"),
        ("forward", "an owner that points behind the message"),
    )
    return case.each(*((label, teaching(case, kind, wait=ANSWERED)) for kind, label in kinds))


def malformed(case):
    kinds = (
        ("odd", "a name with a dot inside a label"),
        ("nul", "a name with a zero inside a label"),
        ("longlabel", "a label longer than the message"),
        ("short", "a record cut off in its address"),
        ("length", "an address of 16 bytes in a record for 4"),
        ("chaos", "a record of another class"),
    )
    return case.each(*((label, teaching(case, kind)) for kind, label in kinds))


def beside(case):
    """Well-formed answers that do not answer."""
    kinds = (
        ("additional", "an address in the additional section"),
        ("authority", "an address in the authority section"),
        ("wrongname", "the question is another name's"),
        ("wrongtype", "the question is for another type"),
        ("wrongid", "another number"),
        ("isquestion", "a message that is no answer"),
        ("failed", "an answer that says the name does not exist"),
        ("later", "a second answer to a question that was answered"),
    )
    return case.each(*((label, teaching(case, kind)) for kind, label in kinds))


def unlisted(case):
    """Names that look like an allowed one."""

    def named(labels):
        def attempt(number):
            coded = message.coded(case.v4(number)).encode()
            query = message.question([b"plain", coded, *labels])
            with client(case) as sock, contextlib.suppress(TimeoutError):
                sock.sendto(query, (case.lab["scripted4"], 53))
                sock.recv(4096)
            return connect(case, case.v4(number))

        return attempt

    return case.each(
        ("of another domain", named([b"bad", b"example"])),
        ("the allowed one, and more behind it", named([b"good", b"example", b"org"])),
        ("the allowed one in one label", named([b"x.good.example"])),
        ("the allowed one behind a zero", named([b"bad\0", b"x.good", b"example"])),
        ("its end is like the allowed one", named([b"notgood", b"example"])),
        ("a dot inside the last label", named([b"good.example"])),
        ("a letter outside ASCII", named([b"g\xc3\xb6od", b"example"])),
    )


def rebinding(case):
    """An allowed name that resolves to addresses of the cluster and of the machine."""

    def to(address, port=PORT, answer=None):
        def attempt(_):
            answer_ = answer or address
            ask(case, "plain", answer_, qtype=message.AAAA if ":" in answer_ else message.A)
            return connect(case, address, port)

        return attempt

    lab = case.lab
    return case.each(
        ("another pod", to(lab["open4"])),
        ("another pod, IPv6", to(lab["open6"])),
        ("another pod, as IPv4 in IPv6", to(lab["open4"], answer="::ffff:" + lab["open4"])),
        ("the resolver, on another port", to(lab["scripted4"])),
        ("the node", to("10.10.0.1")),
        ("the node, IPv6", to("fd00:10::1")),
        ("the node, link-local", lambda _: link_local(case)),
        ("a link-local service of the cloud", to("169.254.169.254")),
    )


def link_local(case):
    ask(case, "plain", "fe80::1", qtype=message.AAAA)
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as sock:
        sock.settimeout(1)
        sock.connect(("fe80::1", PORT, 0, socket.if_nametoindex("eth0")))
        return answered(sock, case.data())


def other_port(case):
    """What an answer allows is the host's ports, not the address."""

    def attempt(port):
        def attempt_(number):
            ask(case, "plain", case.v4(number), wait=ANSWERED)
            return connect(case, case.v4(number), port)

        return attempt_

    return case.each(("8443", attempt(8443)), ("853", attempt(853)), ("53", attempt(53)))


def other_resolver(case):
    """A resolver that may be reached, and is not trusted."""
    rogue = case.lab["rogue4"]
    return case.each(("over UDP", teaching(case, "plain", resolver=rogue)), ("over TCP", teaching_tcp(case, rogue)))


def teaching_tcp(case, resolver, cuts=(), gap=0.02, twice=False):
    """Asks over TCP; the answer must arrive whole, however it is cut."""

    def attempt(number):
        kind = "pieces" if cuts else "twice" if twice else "plain"
        query = message.question(f"{kind}.{message.coded(case.v4(number))}.good.example")
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
            sock.settimeout(2)
            sock.connect((resolver, 53))
            sock.sendall(struct.pack("!H", len(query)) + query)
            got = b""
            while len(got) < 2 or len(got) < 2 + struct.unpack_from("!H", got)[0]:
                part = sock.recv(4096)
                if not part:
                    raise OSError(104, "the answer was cut off")
                got += part
        if case.v4(number) not in message.addresses(got[2:]):
            raise OSError(74, "the answer did not arrive as it was sent")
        return connect(case, case.v4(number))

    return attempt


def pieces(case):
    return case.each(("an answer over TCP in pieces", teaching_tcp(case, case.lab["scripted4"], cuts=(7, 20))))


def forged(case, deliver):
    """A question that its resolver never answers, and an answer by somebody else."""

    def attempt(number):
        query = message.question(f"silent.{message.coded(case.v4(number))}.good.example")
        with client(case) as sock:
            resolver = case.lab["scripted4"]
            sock.sendto(query, (resolver, 53))
            forgery = message.answer(query, [message.record(b"\xc0\x0c", case.v4(number))])
            packet = wire.ip4(resolver, case.me4, 17, wire.udp(resolver, case.me4, 53, sock.getsockname()[1], forgery))
            deliver(packet)
            with contextlib.suppress(TimeoutError):
                sock.recv(4096)
        return connect(case, case.v4(number))

    return attempt


def by_itself(case):
    """The pod forges the answer and delivers it to itself."""

    return case.each(*((label, forged(case, deliver)) for label, deliver in itself.ways(case.me4)))


def wait_for_forgery(case):
    """The pod tells an accomplice what it asked; the accomplice answers in the resolver's name."""

    def hand_over(packet):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(packet, case.args["path"])

    return case.each(("an accomplice's answer", forged(case, hand_over)))


def forge(case):
    """The accomplice: sends what it is handed."""
    path = case.args["path"]
    box = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    box.bind(path)
    box.settimeout(5)

    def serve():
        with box, contextlib.suppress(OSError):
            packet = box.recv(65536)
            wire.send4(packet, socket.inet_ntoa(packet[16:20]))

    threading.Thread(target=serve, daemon=True).start()
    return []


def outside(case):
    """Resolvers outside, however they are asked: nothing gets there."""

    def over_udp(number):
        query = message.question(f"plain.{message.coded(case.v4(number))}.good.example")
        with client(case) as sock:
            sock.sendto(query, (case.v4(number), 53))
            return bool(sock.recv(4096))

    def over_tcp(port):
        return lambda number: connect(case, case.v4(number), port)

    def https(number):
        import ssl

        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with socket.create_connection((case.v4(number), 443), timeout=1) as sock:
            with context.wrap_socket(sock, server_hostname="dns.example") as tls:
                tls.sendall(b"GET /dns-query?dns=AAAB HTTP/1.1\r\nHost: dns.example\r\n\r\n")
                return bool(tls.recv(4096))

    return case.each(
        ("UDP", over_udp), ("TCP", over_tcp(53)), ("TLS", over_tcp(853)), ("HTTPS", https),
    )
