"""Ways in which a pod delivers a packet to itself that seems to come from elsewhere."""

import fcntl
import os
import socket
import struct

import wire
from nested import ip, write


def ways(me4):
    """A label and what delivers a packet, of each way."""
    return (
        ("a raw socket to its own address", lambda packet: wire.send4(packet, me4)),
        ("a frame on the loopback interface", lambda packet: wire.frame(packet, b"\0" * 6, device="lo")),
        ("a packet of a tunnel interface", tun),
        ("a frame of a pair of interfaces", pair),
    )


def loopback(packet):
    wire.frame(packet, b"\0" * 6, device="lo")


def tun(packet):
    write("/proc/sys/net/ipv4/conf/default/rp_filter", "0")
    fd = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(fd, 0x400454CA, struct.pack("16sH14x", b"forge", 0x1001))  # TUNSETIFF, IFF_TUN | IFF_NO_PI
    try:
        ip("link", "set", "forge", "up")
        os.write(fd, packet)
    finally:
        os.close(fd)


def pair(packet):
    """From one end of a pair of interfaces to the other, both in the pod."""
    ip("link", "add", "near", "type", "veth", "peer", "name", "far")
    try:
        for end in ("near", "far"):
            write(f"/proc/sys/net/ipv4/conf/{end}/rp_filter", "0")
            ip("link", "set", end, "up")
        wire.frame(packet, hardware("near"), device="far")
    finally:
        ip("link", "del", "near")


def hardware(name):
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind((name, 0))
        return raw.getsockname()[4]
