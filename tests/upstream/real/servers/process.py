"""What every provider of PyPI here shares: a port, a log, and orders as lines of JSON on stdin.

The first line on stdout is ``{"port"}``. Each order is answered by one line. The process ends with its stdin.
"""

from __future__ import annotations

import json
import os
import sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from joserfc.jwk import RSAKey


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Handler(WSGIRequestHandler):
    def log_message(self, *args):
        """The log that matters is asked for by an order."""


def serve(make_site):
    """Serve until stdin ends.

    Args:
        make_site: Called with issuer and key, and once more with each new key. What it returns has ``wsgi``, and
            ``knows(sub, claims)``.
    """
    # Providers print notices. stdout is for the answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    requests, people = [], {}

    def say(value):
        answers.write(json.dumps(value) + "\n")
        answers.flush()

    def wsgi(environ, start_response):
        requests.append({"method": environ["REQUEST_METHOD"], "path": environ["PATH_INFO"]})
        return site.wsgi(environ, start_response)

    server = make_server("127.0.0.1", 0, wsgi, _Server, _Handler)
    issuer, generation = f"http://127.0.0.1:{server.server_port}", 1
    site = make_site(issuer, _make_key(generation))
    _start(server)
    say({"port": server.server_port})
    for line in sys.stdin:
        order, answer = json.loads(line), {}
        if order["do"] == "person":
            people[order["sub"]] = order["claims"]
            site.knows(order["sub"], order["claims"])
        elif order["do"] == "new_key":
            generation += 0 if order["same_kid"] else 1
            site = make_site(issuer, _make_key(generation))
            for sub, claims in people.items():
                site.knows(sub, claims)
        elif order["do"] == "requests":
            answer, requests[:] = list(requests), []
        say(answer)
    # Threads that wait for a browser end with it.
    os._exit(0)


def _make_key(generation):
    return RSAKey.generate_key(2048, {"kid": f"key-{generation}", "alg": "RS256", "use": "sig"})


def _start(server):
    from threading import Thread

    Thread(target=server.serve_forever, daemon=True).start()
