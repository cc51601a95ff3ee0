"""Resolves and connects at once, again and again: whoever learns names too late refuses some."""

import socket

import message

PORT, NAME = 7000, "raced.good.example"


def reach(case, address):
    with socket.create_connection((address, PORT), timeout=2):
        return True


def libc(case):
    """By the resolver of the C library."""

    def attempt(_):
        found = socket.getaddrinfo(NAME, PORT, socket.AF_INET, socket.SOCK_STREAM)
        return reach(case, found[0][4][0])

    return case.each(("the C library", attempt))


def python(case):
    """By a resolver written in Python."""

    def attempt(_):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(2)
            sock.sendto(message.question(NAME), (case.lab["dns4"], 53))
            found = message.addresses(sock.recv(4096))
        return reach(case, found[0])

    return case.each(("Python", attempt))


def unresolved(case):
    """Dials without having asked: what is learned must have been forgotten."""
    return case.each(("nobody asked", lambda _: reach(case, "203.0.113.60")))
