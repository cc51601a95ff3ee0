"""Asks a web server who it is, with Python's own HTTP client; prints a line of JSON for each request.

Arguments: URL, how many times or `until-eof`, `keep-alive` or `close`.
"""

import http.client
import json
import sys
import threading
import time
from urllib.parse import urlsplit

url, count, manner = sys.argv[1:]
url = urlsplit(url)
keep = manner == "keep-alive"
told = threading.Event()
if count == "until-eof":
    threading.Thread(target=lambda: (sys.stdin.read(), told.set()), daemon=True).start()
left = float("inf") if count == "until-eof" else int(count)

connection = None
while left > 0 and not told.is_set():
    left -= 1
    line = {"start_ns": time.monotonic_ns()}
    try:
        if connection is None:
            connection = http.client.HTTPConnection(url.hostname, url.port or 80, timeout=5)
        header = {"Connection": "keep-alive" if keep else "close"}
        connection.request("GET", url.path or "/", headers=header)
        line["version"] = json.load(connection.getresponse())["version"]
    except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
        line["error"] = f"{type(error).__name__}: {error}"
    if connection is not None and (not keep or "error" in line):
        connection.close()
        connection = None
    print(json.dumps(line), flush=True)
