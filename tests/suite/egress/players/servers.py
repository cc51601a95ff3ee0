"""What attackers want to reach: servers that send back what they get, and a resolver that says what it is told."""

import socket
import struct
import sys
import threading
import time

import message
from message import record

ECHO = (7000, 7100, 8443, 853)
DNS = 53
# The name of the question, at its place.
OWNER = b"\xc0\x0c"
SELF, LOOP = b"\xc0\x1d", b"\xc0"


def stream_server(port, serve):
    try:
        server = socket.create_server(
            ("::", port), family=socket.AF_INET6, dualstack_ipv6=True, reuse_port=True, backlog=1024
        )
    except OSError as error:
        sys.exit(f"port {port}: {error}")
    # Data in a SYN is taken without a cookie.
    server.setsockopt(socket.IPPROTO_TCP, 23, 16)

    def one(peer):
        with peer:
            try:
                serve(peer)
            except OSError:
                pass

    def accept():
        while True:
            threading.Thread(target=one, args=(server.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


def datagram_server(port, serve):
    server = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    server.bind(("::", port))
    # Answers leave from the address that was asked, which no interface has.
    server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    server.setsockopt(socket.IPPROTO_IPV6, 75, 1)  # IPV6_TRANSPARENT
    server.setsockopt(socket.IPPROTO_IP, 19, 1)  # IP_TRANSPARENT

    def receive():
        while True:
            data, info, _, sender = server.recvmsg(65536, 1024)
            for part in serve(data):
                try:
                    server.sendmsg([part], info, 0, sender)
                except OSError as error:
                    print(sender, error, flush=True)

    threading.Thread(target=receive, daemon=True).start()


def echo_stream(peer):
    while part := peer.recv(65536):
        peer.sendall(part)


def dns_stream(peer):
    """A message at a time; what is no message comes back as it is."""
    while head := peer.recv(65536):
        if head.startswith(b"<attack"):
            peer.sendall(head)
            continue
        query = head[2:]
        for said in answers(query):
            whole = struct.pack("!H", len(said)) + said
            if b"pieces" in query:
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for part in (whole[:7], whole[7:40], whole[40:]):
                    peer.sendall(part)
                    time.sleep(0.02)
            else:
                peer.sendall(whole)


def dns_datagram(data):
    if data.startswith(b"<attack"):
        return [data]
    try:
        return answers(data)
    except (IndexError, ValueError, struct.error):
        return []


def answers(query):
    """The answers to a question `KIND.xHEX...`: the address in HEX, in the manner KIND."""
    labels, _, end = message.asked(query)
    kind, address = labels[0].decode(), message.decoded(labels[1])
    plain = record(OWNER, address)
    if kind in ("plain", "pieces"):
        return [message.answer(query, [plain])]
    if kind == "silent":
        return []
    if kind in HONEST:
        return [HONEST[kind](query, address, end)]
    return CROOKED[kind](query, address, plain, end)


def aliased(query, address, _):
    names = [f"alias{number}.elsewhere.example" for number in range(3)]
    owners = [OWNER] + [message.spelled(name) for name in names]
    chain = [message.alias(owner, name) for owner, name in zip(owners, names)]
    return message.answer(query, [*chain, record(owners[-1], address)])


def among_many(query, address, _):
    others = [record(OWNER, f"203.0.113.{number}") for number in range(100, 124)]
    return message.answer(query, [*others, record(OWNER, address)])


HONEST = {"alias": aliased, "many": among_many}


def renamed(query, labels):
    return message.spelled(labels) + query[message.asked(query)[2] - 4 : message.asked(query)[2]]


def pointer(at):
    return struct.pack("!H", 0xC000 | at)


def crooked_owner(owner):
    def build(query, address, _, end):
        return [message.answer(query, [record(owner(end), address)])]

    return build


def crooked_record(change):
    def build(query, address, plain, end):
        return [message.answer(query, [change(plain, address)])]

    return build


def other_question(labels, kind=None):
    def build(query, _address, plain, _end):
        asked = renamed(query, labels)
        if kind:
            asked = query[12 : message.asked(query)[2] - 4] + struct.pack("!HH", kind, 1)
        return [message.answer(query, [plain], question_=asked)]

    return build


def with_flags(flags):
    return lambda query, _address, plain, _end: [message.answer(query, [plain], flags=flags)]


def number_of(query):
    return struct.unpack_from("!H", query)[0]


CROOKED = {
    # Malformed.
    "odd": other_question([b"a.b", b"good", b"example"]),
    "nul": other_question([b"a\0b", b"good", b"example"]),
    "loop": crooked_owner(pointer),
    "mutual": lambda query, address, _plain, end: [message.answer(
        query, [record(pointer(end + 16), address), record(pointer(end), address)])],
    "forward": crooked_owner(lambda _: pointer(0x3FFF)),
    "longlabel": crooked_owner(lambda _: b"\x3fabc\0"),
    "short": lambda query, address, plain, _end: [message.answer(query, [plain])[:-2]],
    "length": crooked_record(lambda plain, _: plain[:10] + struct.pack("!H", 16) + plain[12:] + b"\0" * 12),
    "chaos": lambda query, address, _plain, _end: [message.answer(query, [record(OWNER, address, klass=3)])],
    # Well-formed, and no answer.
    "stranger": crooked_owner(lambda _: message.spelled("bad.example")),
    "additional": lambda query, _address, plain, _end: [message.answer(query, [], extra=[plain])],
    "authority": lambda query, _address, plain, _end: [message.answer(query, [], authority=[plain])],
    "wrongname": other_question([b"bad", b"example"]),
    "wrongtype": other_question([], kind=28),
    "wrongid": lambda query, _address, plain, _end: [
        message.answer(query, [plain], number=number_of(query) ^ 0x5555)],
    "isquestion": with_flags(0x0100),
    "failed": with_flags(0x8183),
    "later": lambda query, _address, plain, _end: [
        message.answer(query, [record(OWNER, "203.0.113.10")]), message.answer(query, [plain])],
}


def main():
    for port in ECHO:
        stream_server(port, echo_stream)
        datagram_server(port, lambda data: [data])
    datagram_server(443, lambda data: [data])
    if "resolver" in sys.argv:
        stream_server(DNS, dns_stream)
        datagram_server(DNS, dns_datagram)
    print("ready", flush=True)
    threading.Event().wait()
