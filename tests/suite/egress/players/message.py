"""DNS messages: questions, and what can be read of answers. The resolver of the world uses it too."""

import ipaddress
import random
import struct

A, AAAA, CNAME, TXT = 1, 28, 5, 16


def spelled(name):
    """A name on the wire; a list of byte strings is taken label by label."""
    labels = name if isinstance(name, list) else [label.encode() for label in name.split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def question(name, kind=A, number=None, edns=False, klass=1):
    number = random.randrange(65536) if number is None else number
    head = struct.pack("!6H", number, 0x0100, 1, 0, 0, int(edns))
    tail = b"\0" + struct.pack("!HHIH", 41, 4096, 0, 0) if edns else b""
    return head + spelled(name) + struct.pack("!HH", kind, klass) + tail


def asked(packet):
    """Labels, type and where the question ends."""
    labels, at = [], 12
    while packet[at]:
        labels.append(packet[at + 1 : at + 1 + packet[at]])
        at += 1 + packet[at]
    return labels, struct.unpack_from("!H", packet, at + 1)[0], at + 5


def record(owner, address, ttl=2, klass=1, kind=None):
    """`owner` is on the wire already; 0xC00C is the name of the question."""
    data = ipaddress.ip_address(address).packed
    kind = kind or (A if len(data) == 4 else AAAA)
    return owner + struct.pack("!HHIH", kind, klass, ttl, len(data)) + data


def alias(owner, name, ttl=60):
    data = spelled(name)
    return owner + struct.pack("!HHIH", CNAME, 1, ttl, len(data)) + data


def answer(packet, records, flags=0x8180, extra=(), authority=(), number=None, question_=None):
    _, _, end = asked(packet)
    number = struct.unpack_from("!H", packet)[0] if number is None else number
    head = struct.pack("!6H", number, flags, 1, len(records), len(authority), len(extra))
    return head + (question_ or packet[12:end]) + b"".join(records) + b"".join(authority) + b"".join(extra)


def addresses(packet):
    """The addresses of the answers, or none if they cannot be read."""
    found = []
    try:
        _, _, at = asked(packet)
        for _ in range(struct.unpack_from("!H", packet, 6)[0]):
            while packet[at] and packet[at] < 0xC0:
                at += 1 + packet[at]
            at += 2 if packet[at] else 1
            kind, _, _, length = struct.unpack_from("!HHIH", packet, at)
            if kind in (A, AAAA) and length in (4, 16):
                found.append(str(ipaddress.ip_address(packet[at + 10 : at + 10 + length])))
            at += 10 + length
    except (IndexError, struct.error):
        pass
    return found


def coded(address):
    """An address as a label, for a resolver that answers with what the name says."""
    return "x" + ipaddress.ip_address(address).packed.hex()


def decoded(label):
    return str(ipaddress.ip_address(bytes.fromhex(label[1:].decode())))
