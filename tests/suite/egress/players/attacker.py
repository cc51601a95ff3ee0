"""The attacker: plays what it is told on standard input, one JSON object a line, and says what came of it.

It lives from before the policy until the end, so that sockets it opened early can be used late.
"""

import errno
import importlib
import ipaddress
import json
import sys
import traceback

PORT = 7000


class Case:
    """One attack: where it aims, and what it may keep from before the policy until after."""

    def __init__(self, told, keep):
        self.lab = told["lab"]
        self.me4, self.me6 = self.lab["me4"], self.lab["me6"]
        self.before = told["before"]
        self.number = told["number"]
        self.args = told.get("args", {})
        self.keep = keep
        self.port = PORT

    def v4(self, variant=0):
        """Nobody may reach it. Each variant has its own, so that what arrives there is known to be its."""
        return f"198.18.{self.number}.{variant + 1}"

    def v6(self, variant=0):
        return str(ipaddress.IPv6Address(f"2001:db8:bad:{self.number:x}::{variant + 1:x}"))

    def data(self, variant=0):
        return f"<attack {self.number}.{variant}>".encode().ljust(24, b".")

    def each(self, *variants):
        """Tries each, a label and what to call with its number. What is returned tells whether an answer
        came; None when none is expected."""
        said = []
        for number, (label, attempt) in enumerate(variants):
            try:
                answered, words = attempt(number), ""
            except OSError as error:
                answered, words = False, errno.errorcode.get(error.errno, str(error))
            said.append({"label": label, "answered": answered, "said": words})
        return said


def play(told, kept):
    module, function = told["play"].split(".")
    case = Case(told, kept.setdefault(told["number"], {}))
    said = getattr(importlib.import_module(module), function)(case)
    return {"said": said}


def main():
    kept = {}
    for line in sys.stdin:
        told = json.loads(line)
        try:
            answer = play(told, kept)
        except Exception:  # pylint: disable=broad-except
            answer = {"broken": traceback.format_exc()}
        print(json.dumps(answer), flush=True)
