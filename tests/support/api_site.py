"""The second site's views, and the process that serves them: ``python -m tests.support.api_site PORT``."""

from __future__ import annotations

import json
import sys
import threading
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from django.urls import include, path
from rest_framework.response import Response
from rest_framework.throttling import UserRateThrottle
from rest_framework.views import APIView

from django_lazyauth.resource_server.permissions import RequireScope


class Often(UserRateThrottle):
    rate = "100000/min"


class WhoAmI(APIView):
    throttle_classes = [Often]

    def get(self, request):
        user, auth = request.user, request.auth
        return Response(
            {
                "user": type(user).__name__,
                "sub": user.sub,
                "pk": user.pk,
                "client_id": auth.client_id,
                "scopes": sorted(auth.scopes),
                "tsid": str(auth.tsid),
                "audience": auth.audience,
                "is_staff": user.is_staff,
                "may": user.has_perm("anything"),
            }
        )


class Writes(WhoAmI):
    permission_classes = [RequireScope("tools:write")]


class Loaded(APIView):
    """What of our package this process has loaded."""

    authentication_classes = ()
    permission_classes = ()

    def get(self, request):
        return Response(sorted(name for name in sys.modules if name.startswith(("django_lazyauth", "oauth"))))


urlpatterns = [
    path("api/", WhoAmI.as_view()),
    path("api/writes", Writes.as_view()),
    path("loaded", Loaded.as_view()),
    path("", include("django_lazyauth.resource_server.urls")),
]


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 64


class Quiet(WSGIRequestHandler):
    def log_message(self, *args):
        pass


def _ahead(seconds):
    """Set the clocks of this process ahead, as far as they are asked about keys."""
    import time

    from django_lazyauth.resource_server import keys

    keys.key_sets.clock = lambda: time.time() + seconds


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    import django
    from django.core.wsgi import get_wsgi_application

    django.setup()
    server = make_server("127.0.0.1", int(sys.argv[1]), get_wsgi_application(), Server, Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    say("up")
    for line in sys.stdin:
        _ahead(json.loads(line))
        say("ok")


if __name__ == "__main__":
    main()
