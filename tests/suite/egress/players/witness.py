"""Stands outside and says what has arrived for addresses that nobody may reach."""

import collections
import ipaddress
import json
import socket
import struct
import sys
import threading

GUARDED = [ipaddress.ip_network(text) for text in ("198.18.0.0/15", "2001:db8:bad::/48", "169.254.0.0/16")]
OUTGOING = 4


def guarded(address):
    return any(address in network for network in GUARDED if network.version == address.version)


def looked_at(frame):
    """Where a frame goes, and what it is in a few words; None if it is not for such an address."""
    kind = struct.unpack_from("!H", frame, 12)[0]
    if kind == 0x0800 and len(frame) >= 34:
        address, proto = ipaddress.ip_address(frame[30:34]), frame[23]
        offset = struct.unpack_from("!H", frame, 20)[0] & 0x1FFF
        start = 14 + (frame[14] & 15) * 4
    elif kind == 0x86DD and len(frame) >= 54:
        address, proto, offset, start = ipaddress.ip_address(frame[38:54]), frame[20], 0, 54
    else:
        return None
    if not guarded(address):
        return None
    words = f"protocol {proto}, {len(frame) - 14} bytes"
    if proto == 6 and not offset and len(frame) >= start + 14:
        words += f", TCP flags {frame[start + 13]:#x}"
    return str(address), words


def main():
    seen = collections.defaultdict(list)
    lock = threading.Lock()
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    sock.bind(("eth0", 3))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)

    def watch():
        while True:
            frame, name = sock.recvfrom(65536)
            if name[2] == OUTGOING:
                continue
            if found := looked_at(frame):
                with lock:
                    seen[found[0]].append(found[1])

    threading.Thread(target=watch, daemon=True).start()
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        told = json.loads(line)
        with lock:
            if told == "forget":
                seen.clear()
            print(json.dumps(dict(seen)), flush=True)
