"""Asks over one connection: prints the version that answered each request, or the status.

Arguments: host, port, and for each request a cohort (`-` is none). Prints what getpeername says first.
"""

import http.client
import json
import sys

host, port, *cohorts = sys.argv[1:]
connection = http.client.HTTPConnection(host, int(port), timeout=5)
connection.connect()
print("%s %s" % connection.sock.getpeername()[:2])
first = connection.sock
for cohort in cohorts:
    headers = {} if cohort == "-" else {"X-Istio-Cohort": cohort}
    connection.request("GET", "/items", headers=headers)
    response = connection.getresponse()
    body = response.read()
    print(json.loads(body)["version"] if response.status == 200 else response.status)
assert connection.sock is first, "the connection was closed meanwhile"
