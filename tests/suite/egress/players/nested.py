"""Namespaces that a pod makes for itself, and sockets that change hands."""

import array
import contextlib
import ctypes
import json
import os
import socket
import subprocess
import threading

import raw
import wire

PORT = 7000
NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


def ip(*words):
    done = subprocess.run(["ip", *words], check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(words)}: {done.stderr}")


def write(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


@contextlib.contextmanager
def namespace(work):
    """A child in a network namespace of its own; once told, it does `work` and hands over its result."""
    up, down, out = os.pipe(), os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        said = "it died"
        try:
            if libc.unshare(NEWNET):
                raise OSError(ctypes.get_errno(), "unshare")
            os.write(up[1], b".")
            os.read(down[0], 1)
            work()
            said = ""
        except Exception as error:  # pylint: disable=broad-except
            said = str(error)
        os.write(out[1], json.dumps(said).encode())
        os._exit(0)
    os.read(up[0], 1)

    def go():
        os.write(down[1], b".")
        said = json.loads(os.read(out[0], 4096))
        if said:
            raise OSError(0, said)

    try:
        yield child, go
    finally:
        os.write(down[1], b".")
        os.waitpid(child, 0)
        for end in (*up, *down, *out):
            os.close(end)


def second(case):
    """A second network namespace inside the pod, joined to it in two ways."""

    def routed(number):
        def work():
            ip("link", "set", "inner", "up")
            ip("address", "add", "10.99.0.2/24", "dev", "inner")
            ip("route", "add", "default", "via", "10.99.0.1")
            wire.send4(raw.packet4(case, number), case.v4(number))

        with namespace(work) as (child, go):
            ip("link", "add", "outer", "type", "veth", "peer", "name", "inner", "netns", str(child))
            ip("address", "add", "10.99.0.1/24", "dev", "outer")
            ip("link", "set", "outer", "up")
            write("/proc/sys/net/ipv4/ip_forward", "1")
            write("/proc/sys/net/ipv4/conf/outer/rp_filter", "0")
            write("/proc/sys/net/ipv4/conf/outer/accept_local", "1")
            try:
                go()
            finally:
                write("/proc/sys/net/ipv4/ip_forward", "0")

    def beside(kind):
        def send(number):
            def work():
                ip("link", "set", "lo", "up")
                ip("link", "set", "beside", "up")
                ip("address", "add", f"{case.me4}/32", "dev", "beside")
                ip("neighbour", "add", "10.10.0.1", "lladdr", to.hex(":"), "dev", "beside")
                ip("route", "add", "default", "via", "10.10.0.1", "dev", "beside", "onlink")
                with socket.socket(socket.AF_INET, kind) as sock:
                    sock.settimeout(0.3)
                    with contextlib.suppress(TimeoutError):
                        sock.connect((case.v4(number), PORT))
                    if kind == socket.SOCK_DGRAM:
                        sock.send(case.data(number))

            to = wire.gateway()
            with namespace(work) as (child, go):
                ip("link", "add", "beside", "link", "eth0", "type", "macvlan", "mode", "bridge")
                ip("link", "set", "beside", "netns", str(child))
                go()

        return send

    return case.each(
        ("routed through the pod", routed),
        ("on the pod's own interface, UDP", beside(socket.SOCK_DGRAM)),
        ("on the pod's own interface, TCP", beside(socket.SOCK_STREAM)),
    )


def tunnels(case):
    """Packets that the kernel sends for an interface."""

    def vxlan(number):
        dst = case.v4(number)
        ip("link", "add", "tunnel", "type", "vxlan", "id", "7", "remote", dst, "local", case.me4, "dstport", "4789")
        try:
            ip("address", "add", "10.98.0.1/24", "dev", "tunnel")
            ip("link", "set", "tunnel", "up")
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
                sock.sendto(case.data(number), ("10.98.0.255", PORT))
        finally:
            ip("link", "del", "tunnel")

    return case.each(("VXLAN", vxlan))


def offer(case):
    """Makes sockets here and hands them to whoever comes to the path."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(case.args["path"])
    listener.listen(1)
    made = [
        socket.socket(socket.AF_INET, socket.SOCK_STREAM),
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW),
    ]

    def serve():
        peer, _ = listener.accept()
        numbers = array.array("i", [sock.fileno() for sock in made])
        peer.sendmsg([b"."], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, numbers)])
        peer.recv(1)
        for sock in (*made, peer, listener):
            sock.close()

    threading.Thread(target=serve, daemon=True).start()
    return []


def take(case):
    """Uses the sockets of another pod: they are that pod's, whoever holds them."""
    from sockets import answered

    peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    peer.connect(case.args["path"])
    _, control, _, _ = peer.recvmsg(1, 1024)
    numbers = array.array("i")
    numbers.frombytes(control[0][2])
    tcp, udp, packets = (socket.socket(fileno=number) for number in numbers)

    def connect(number):
        tcp.settimeout(1)
        tcp.connect((case.v4(number), PORT))
        return answered(tcp, case.data(number))

    said = case.each(
        ("TCP", connect),
        ("UDP", lambda n: udp.sendto(case.data(n), (case.v4(n), PORT)) and None),
        ("raw", lambda n: packets.sendto(raw.packet4(case, n), (case.v4(n), 0)) and None),
    )
    for sock in (tcp, udp, packets):
        sock.close()
    peer.close()
    return said
