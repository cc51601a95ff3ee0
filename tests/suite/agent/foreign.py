"""Attaches a program of its own to a cgroup and holds it until its input ends.

It denies connections to one port, so that whoever watches sees whether it runs.

    foreign.py CGROUP PORT exclusive|shared
"""

import ctypes
import os
import platform
import struct
import sys

PROG_LOAD, PROG_ATTACH, PROG_DETACH = 5, 8, 9
CGROUP_SOCK_ADDR, CONNECT4 = 18, 10
ALLOW_MULTI = 2
NUMBERS = {"x86_64": 321, "aarch64": 280}

libc = ctypes.CDLL(None, use_errno=True)


def bpf(command, attributes):
    """One call of bpf(2)."""
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    number = NUMBERS[platform.machine()]
    result = libc.syscall(number, command, buffer, len(attributes))
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"bpf({command}): {os.strerror(error)}")
    return result


def instruction(code, registers=0, offset=0, value=0):
    """One instruction; `registers` is source * 16 + destination."""
    return struct.pack("<BBhi", code, registers, offset, value)


def load(port):
    """r0 = port that is dialled == PORT ? 0 : 1"""
    network_order = struct.unpack("<H", struct.pack(">H", port))[0]
    program = b"".join(
        [
            instruction(0x61, 0x12, 24),  # r2 = *(u32 *)(r1 + user_port)
            instruction(0xB7, 0x00, 0, 1),  # r0 = 1
            instruction(0x55, 0x02, 1, network_order),  # if r2 != PORT goto +1
            instruction(0xB7, 0x00, 0, 0),  # r0 = 0
            instruction(0x95),  # exit
        ]
    )
    code = ctypes.create_string_buffer(program, len(program))
    licence = ctypes.create_string_buffer(b"GPL")
    attributes = struct.pack(
        "<IIQQIIQII16sII",
        CGROUP_SOCK_ADDR,
        len(program) // 8,
        ctypes.addressof(code),
        ctypes.addressof(licence),
        0,
        0,
        0,
        0,
        0,
        b"foreign",
        0,
        CONNECT4,
    )
    return bpf(PROG_LOAD, attributes)


def main():
    """Attaches, says so, and detaches at the end of the input."""
    cgroup = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECTORY)
    program = load(int(sys.argv[2]))
    flags = ALLOW_MULTI if sys.argv[3] == "shared" else 0
    bpf(PROG_ATTACH, struct.pack("<IIIII", cgroup, program, CONNECT4, flags, 0))
    print("attached", flush=True)
    sys.stdin.read()
    bpf(PROG_DETACH, struct.pack("<IIIII", cgroup, program, CONNECT4, 0, 0))


main()
