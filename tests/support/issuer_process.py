"""The issuer as a process: all its endpoints over HTTP, and a log of what it was asked.

``python -m tests.support.issuer_process PORT``. Its settings are ``tests.process_settings``; lines on its input change
single settings of ``LAZYAUTH`` (JSON), ``log`` prints the paths of the requests so far.
"""

from __future__ import annotations

import json
import sys
import threading
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import django

PATHS: list[str] = []


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Quiet(WSGIRequestHandler):
    def log_request(self, *args):
        PATHS.append(self.path)

    def log_message(self, *args):
        pass


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    django.setup()
    from django.conf import settings
    from django.core.wsgi import get_wsgi_application

    server = make_server("127.0.0.1", int(sys.argv[1]), get_wsgi_application(), Server, Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    say("up")
    for line in sys.stdin:
        if line.strip() == "log":
            say(json.dumps(PATHS))
        else:
            settings.LAZYAUTH = {**settings.LAZYAUTH, **json.loads(line)}
            say("ok")


if __name__ == "__main__":
    main()
