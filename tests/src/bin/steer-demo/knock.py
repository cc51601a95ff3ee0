"""Resolves a name and connects at once, over and over, until a connection is let through.

Arguments: NAME, PORT. Prints JSON: that it was refused for the first time; how often it was, and when it
got through.
"""

import json
import socket
import sys
import time

name, port = sys.argv[1], int(sys.argv[2])
refused, end = 0, time.monotonic() + 20
while time.monotonic() < end:
    try:
        socket.create_connection((name, port), timeout=1).close()
        print(json.dumps({"refused": refused, "through_ns": time.monotonic_ns()}), flush=True)
        break
    except OSError:
        refused += 1
        if refused == 1:
            print(json.dumps("refused"), flush=True)
