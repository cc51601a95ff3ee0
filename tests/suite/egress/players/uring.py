"""io_uring, without a library: one ring, one request at a time."""

import ctypes
import mmap
import os
import socket
import struct

from sockets import Iovec, Message, sockaddr

PORT = 7000
SETUP, ENTER = 425, 426
SENDMSG, CONNECT, SEND = 9, 16, 26
libc = ctypes.CDLL(None, use_errno=True)


class Ring:
    def __init__(self):
        params = ctypes.create_string_buffer(120)
        self.fd = libc.syscall(SETUP, 4, params)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), "io_uring_setup")
        sq_entries, cq_entries = struct.unpack_from("II", params, 0)
        self.sq = struct.unpack_from("10I", params, 40)
        self.cq = struct.unpack_from("10I", params, 80)
        self.sq_map = mmap.mmap(self.fd, self.sq[6] + 4 * sq_entries, offset=0)
        self.cq_map = mmap.mmap(self.fd, self.cq[5] + 16 * cq_entries, offset=0x8000000)
        self.entries = mmap.mmap(self.fd, 64 * sq_entries, offset=0x10000000)

    def ask(self, opcode, fd, address, length, offset=0):
        """Its result; negative is an errno."""
        self.entries[:64] = struct.pack("=BBHiQQIIQ", opcode, 0, 0, fd, offset, address, length, 0, 1).ljust(64, b"\0")
        tail = struct.unpack_from("I", self.sq_map, self.sq[1])[0]
        mask = struct.unpack_from("I", self.sq_map, self.sq[2])[0]
        struct.pack_into("I", self.sq_map, self.sq[6] + 4 * (tail & mask), 0)
        struct.pack_into("I", self.sq_map, self.sq[1], tail + 1)
        if libc.syscall(ENTER, self.fd, 1, 1, 1, None, 0) < 0:
            raise OSError(ctypes.get_errno(), "io_uring_enter")
        head = struct.unpack_from("I", self.cq_map, self.cq[0])[0]
        mask = struct.unpack_from("I", self.cq_map, self.cq[2])[0]
        result = struct.unpack_from("=Qi", self.cq_map, self.cq[5] + 16 * (head & mask))[1]
        struct.pack_into("I", self.cq_map, self.cq[0], head + 1)
        if result < 0:
            raise OSError(-result, "io_uring")
        return result

    def close(self):
        for part in (self.sq_map, self.cq_map, self.entries):
            part.close()
        os.close(self.fd)


def io_uring(case):
    def tcp(number):
        ring, name = Ring(), ctypes.create_string_buffer(sockaddr(case.v4(number)), 16)
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 1, 0))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 1, 0))
            ring.ask(CONNECT, sock.fileno(), ctypes.addressof(name), 0, 16)
            data = ctypes.create_string_buffer(case.data(number))
            ring.ask(SEND, sock.fileno(), ctypes.addressof(data), len(case.data(number)))
            answer = sock.recv(4096)
        ring.close()
        return answer == case.data(number)

    def udp(number):
        ring, data = Ring(), case.data(number)
        iov = Iovec(data, len(data))
        message = Message()
        message.name, message.name_length = sockaddr(case.v4(number)), 16
        message.iov, message.iov_length = ctypes.pointer(iov), 1
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            ring.ask(SENDMSG, sock.fileno(), ctypes.addressof(message), 1)
        ring.close()

    return case.each(("connect and send", tcp), ("sendmsg", udp))
