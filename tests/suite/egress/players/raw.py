"""Packets made by hand, through raw and packet sockets."""

import socket

import wire
from wire import ACK, PSH, SYN

PORT = 7000
# Options that mean nothing, the route that was taken, and times.
NOP = b"\1" * 4
RECORD_ROUTE = bytes([7, 11, 4]) + b"\0" * 8 + b"\0"
TIMESTAMP = bytes([68, 12, 5, 0]) + b"\0" * 8
ALERT = bytes([148, 4, 0, 0])


def datagram4(case, number, src=None):
    dst = case.v4(number)
    return wire.udp(src or case.me4, dst, 4000, PORT, case.data(number))


def datagram6(case, number, src=None):
    dst = case.v6(number)
    return wire.udp(src or case.me6, dst, 4000, PORT, case.data(number))


def packet4(case, number, **rest):
    return wire.ip4(case.me4, case.v4(number), 17, datagram4(case, number), **rest)


def udp(case):
    return case.each(
        ("IPv4", lambda n: wire.send4(packet4(case, n), case.v4(n))),
        ("IPv6", lambda n: wire.send6(wire.ip6(case.me6, case.v6(n), 17, datagram6(case, n)), case.v6(n))),
        ("source port of DNS", lambda n: wire.send4(
            wire.ip4(case.me4, case.v4(n), 17, wire.udp(case.me4, case.v4(n), 53, PORT, case.data(n))), case.v4(n))),
        ("to port 53", lambda n: wire.send4(
            wire.ip4(case.me4, case.v4(n), 17, wire.udp(case.me4, case.v4(n), 4000, 53, case.data(n))), case.v4(n))),
        ("no checksum", lambda n: wire.send4(
            wire.ip4(case.me4, case.v4(n), 17, datagram4(case, n)[:6] + b"\0\0" + case.data(n)), case.v4(n))),
    )


def segment(case, number, flags, six=False):
    src, dst = (case.me6, case.v6(number)) if six else (case.me4, case.v4(number))
    return wire.tcp(src, dst, 4000 + number, PORT, flags, case.data(number))


def tcp(case):
    def four(flags):
        return lambda n: wire.send4(wire.ip4(case.me4, case.v4(n), 6, segment(case, n, flags)), case.v4(n))

    def six(flags):
        return lambda n: wire.send6(wire.ip6(case.me6, case.v6(n), 6, segment(case, n, flags, True)), case.v6(n))

    return case.each(
        ("SYN with data", four(SYN)),
        ("as if established", four(ACK | PSH)),
        ("as if the other side had opened it", four(SYN | ACK)),
        ("no flag at all", four(0)),
        ("RST with data", four(wire.RST)),
        ("FIN", four(wire.FIN | ACK)),
        ("SYN with data, IPv6", six(SYN)),
        ("as if established, IPv6", six(ACK | PSH)),
        ("as if the other side had opened it, IPv6", six(SYN | ACK)),
    )


def tagged(case):
    """Frames with a VLAN tag of no VLAN: a Linux node takes the packet inside for its own."""
    to = wire.gateway()

    def behind(tags):
        return lambda n: wire.frame(packet4(case, n), to, tags=tags)

    return case.each(("one tag", behind([0x8100])), ("two tags", behind([0x8100, 0x8100])),
                     ("a service tag", behind([0x88A8])), ("a service tag and one more", behind([0x88A8, 0x8100])))


def frames(case):
    """Past the whole IP layer of the pod."""
    to = wire.gateway()

    def cooked(number):
        with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM) as raw:
            raw.sendto(packet4(case, number), ("eth0", 0x0800, 0, 0, to))

    return case.each(
        ("UDP", lambda n: wire.frame(packet4(case, n), to)),
        ("UDP, past the queue", lambda n: wire.frame(packet4(case, n), to, bypass=True)),
        ("UDP, cooked", cooked),
        ("UDP over IPv6", lambda n: wire.frame(wire.ip6(case.me6, case.v6(n), 17, datagram6(case, n)), to)),
        ("SYN", lambda n: wire.frame(wire.ip4(case.me4, case.v4(n), 6, segment(case, n, SYN)), to)),
        ("SYN and ACK", lambda n: wire.frame(wire.ip4(case.me4, case.v4(n), 6, segment(case, n, SYN | ACK)), to)),
        ("IP options", lambda n: wire.frame(packet4(case, n, options=NOP), to)),
        ("first fragment", lambda n: wire.frame(packet4(case, n, flags=1), to)),
        ("padded behind its end", lambda n: wire.frame(packet4(case, n) + b"\0" * 40, to)),
    )


def options(case):
    def raw(options):
        return lambda n: wire.send4(packet4(case, n, options=options), case.v4(n))

    def on_socket(number):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, NOP)
            sock.sendto(case.data(number), (case.v4(number), PORT))

    return case.each(
        ("four that mean nothing", raw(NOP)),
        ("as many as there is room for", raw(NOP * 10)),
        ("record route", raw(RECORD_ROUTE)),
        ("timestamp", raw(TIMESTAMP)),
        ("router alert", raw(ALERT)),
        ("set on a socket", on_socket),
    )


def fragments(case):
    def later(number):
        packet = wire.ip4(case.me4, case.v4(number), 17, case.data(number), offset=64)
        wire.send4(packet, case.v4(number))

    def tiny(number):
        whole = datagram4(case, number)
        for flags, offset, part in ((1, 0, whole[:8]), (0, 8, whole[8:])):
            wire.send4(wire.ip4(case.me4, case.v4(number), 17, part, flags=flags, offset=offset), case.v4(number))

    def backwards(number):
        whole = datagram4(case, number)
        for flags, offset, part in ((0, 16, whole[16:]), (1, 0, whole[:16])):
            wire.send4(wire.ip4(case.me4, case.v4(number), 17, part, flags=flags, offset=offset), case.v4(number))

    def large(number):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(case.data(number) * 200, (case.v4(number), PORT))

    def syn(number):
        whole = segment(case, number, SYN)
        for flags, offset, part in ((1, 0, whole[:8]), (0, 8, whole[8:])):
            wire.send4(wire.ip4(case.me4, case.v4(number), 6, part, flags=flags, offset=offset), case.v4(number))

    return case.each(
        ("the first", lambda n: wire.send4(packet4(case, n, flags=1), case.v4(n))),
        ("a later one", later),
        ("ports alone in the first", tiny),
        ("the last before the first", backwards),
        ("a large datagram of the kernel's", large),
        ("half a TCP header", syn),
    )


def fragments6(case):
    def part(number, offset, more, data):
        head = wire.fragment6(17, offset, more)
        wire.send6(wire.ip6(case.me6, case.v6(number), wire.FRAGMENT, head + data), case.v6(number))

    def both(number):
        whole = datagram6(case, number)
        part(number, 0, True, whole[:8])
        part(number, 8, False, whole[8:])

    def large(number):
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.sendto(case.data(number) * 200, (case.v6(number), PORT))

    return case.each(
        ("the first", lambda n: part(n, 0, True, datagram6(case, n))),
        ("a later one", lambda n: part(n, 64, False, case.data(n))),
        ("one that is the whole", lambda n: part(n, 0, False, datagram6(case, n))),
        ("ports alone in the first", both),
        ("a large datagram of the kernel's", large),
    )


def extensions(case):
    def behind(first, head):
        def send(number):
            packet = wire.ip6(case.me6, case.v6(number), first, head + datagram6(case, number))
            wire.send6(packet, case.v6(number))

        return send

    def on_socket(kind):
        def send(number):
            with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
                # The kernel fills in what follows.
                sock.setsockopt(socket.IPPROTO_IPV6, kind, wire.options6(0))
                sock.sendto(case.data(number), (case.v6(number), PORT))

        return send

    many = wire.options6(wire.DESTINATION) * 9 + wire.options6(17)
    return case.each(
        ("hop by hop", behind(wire.HOP, wire.options6(17))),
        ("destination options", behind(wire.DESTINATION, wire.options6(17))),
        ("long destination options", behind(wire.DESTINATION, wire.options6(17, 20))),
        ("routing", behind(wire.ROUTING, wire.routing6(17))),
        ("ten of them", behind(wire.DESTINATION, many)),
        ("hop by hop, then routing", behind(wire.HOP, wire.options6(wire.ROUTING) + wire.routing6(17))),
        ("nothing follows", behind(wire.NONE, b"")),
        ("hop by hop, set on a socket", on_socket(socket.IPV6_HOPOPTS)),
        ("destination options, set on a socket", on_socket(socket.IPV6_DSTOPTS)),
    )


def icmp(case):
    def ping_socket(number):
        with open("/proc/sys/net/ipv4/ping_group_range", "w", encoding="ascii") as range_:
            range_.write("0 2147483647")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP) as sock:
            sock.sendto(wire.echo(case.data(number)), (case.v4(number), 0))

    def raw4(number):
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as sock:
            sock.sendto(wire.echo(case.data(number)), (case.v4(number), 0))

    def raw6(number):
        with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as sock:
            sock.sendto(wire.echo6(case.me6, case.v6(number), case.data(number)), (case.v6(number), 0))

    def kind(number_of_kind):
        def send(number):
            body = bytearray(wire.echo(case.data(number)))
            body[0], body[2:4] = number_of_kind, b"\0\0"
            body[2:4] = wire.checksum(bytes(body)).to_bytes(2, "big")
            wire.send4(wire.ip4(case.me4, case.v4(number), 1, bytes(body)), case.v4(number))

        return send

    def link(number_of_kind):
        """Messages of the link, which no router hands on unless it forgets to look."""

        def send(number):
            body = wire.icmp6(number_of_kind, case.me6, case.v6(number), b"\0" * 16 + case.data(number))
            wire.send6(wire.ip6(case.me6, case.v6(number), 58, body, hops=255), case.v6(number))

        return send

    return case.each(
        ("router solicitation", link(133)), ("router advertisement", link(134)),
        ("neighbour solicitation", link(135)), ("neighbour advertisement", link(136)), ("redirect", link(137)),
        ("listener report", link(143)),
        ("echo", raw4), ("echo, by a datagram socket", ping_socket), ("echo, IPv6", raw6),
        ("an answer nobody asked for", kind(0)), ("timestamp", kind(13)), ("unreachable", kind(3)),
    )


# IGMP, IPv4 in IPv4, GRE, ESP, AH, OSPF, SCTP, UDP-Lite, two without a meaning.
PROTOCOLS = (2, 4, 47, 50, 51, 89, 132, 136, 253, 255)


def protocols(case):
    def four(proto):
        return lambda n: wire.send4(wire.ip4(case.me4, case.v4(n), proto, case.data(n)), case.v4(n))

    def six(proto):
        return lambda n: wire.send6(wire.ip6(case.me6, case.v6(n), proto, case.data(n)), case.v6(n))

    variants = [(f"IPv4 {proto}", four(proto)) for proto in PROTOCOLS]
    variants += [(f"IPv6 {proto}", six(proto)) for proto in (4, 41, 47, 50, 132, 136, 253)]
    return case.each(*variants)


def source(case):
    """As another pod, whose policy is open, or as nobody."""
    other4, other6 = case.lab["open4"], case.lab["open6"]
    to = wire.gateway()

    def claimed(number):
        import subprocess

        subprocess.run(["ip", "address", "add", f"{other4}/32", "dev", "lo"], check=False, capture_output=True)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((other4, 0))
            try:
                sock.sendto(case.data(number), (case.v4(number), PORT))
            finally:
                subprocess.run(["ip", "address", "del", f"{other4}/32", "dev", "lo"], check=False)

    def as_(src):
        return lambda n: wire.send4(wire.ip4(src, case.v4(n), 17, datagram4(case, n, src)), case.v4(n))

    return case.each(
        ("of an open pod", as_(other4)),
        ("of an open pod, IPv6", lambda n: wire.send6(
            wire.ip6(other6, case.v6(n), 17, datagram6(case, n, other6)), case.v6(n))),
        ("of an open pod, as a frame", lambda n: wire.frame(
            wire.ip4(other4, case.v4(n), 17, datagram4(case, n, other4)), to)),
        ("of nobody", as_("10.10.0.77")),
        ("of an open pod, on the loopback interface", claimed),
    )
