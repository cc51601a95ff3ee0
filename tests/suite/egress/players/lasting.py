"""Connections that last longer than what allowed them."""

import names
from sockets import answered, stream

import socket

PORT = 7000


def learn(case):
    """Learns an address and keeps a connection to it; what allows it may end meanwhile."""

    def attempt(number):
        names.ask(case, "plain", case.v4(number))
        sock = socket.create_connection((case.v4(number), PORT), timeout=2)
        case.keep["kept"] = sock
        return answered(sock, case.data())

    return case.each(("a name that was learned", attempt))


def known(case):
    """Keeps a connection to an address that the registry knows."""

    def attempt(_):
        case.keep["kept"] = socket.create_connection((case.lab["good4"], PORT), timeout=2)
        return answered(case.keep["kept"], case.data())

    return case.each(("an address of the registry", attempt))


def kept(case):
    return case.each(("the connection that is kept", lambda _: answered(case.keep["kept"], case.data())))


def again(case):
    return case.each(("a new one", lambda n: stream(socket.AF_INET, case.v4(n), case.data())))


def again_known(case):
    return case.each(("a new one", lambda _: stream(socket.AF_INET, case.lab["good4"], case.data())))
