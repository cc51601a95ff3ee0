"""Asks a web server who it is with a session of the package requests, which keeps its connection; prints
the version that answered each request.

Arguments: URL, how many times.
"""

import sys

import requests

url, count = sys.argv[1:]
with requests.Session() as session:
    for _ in range(int(count)):
        print(session.get(url, timeout=5).json()["version"])
