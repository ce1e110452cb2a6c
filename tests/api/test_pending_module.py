"""Issue 16: the module that front ends load to wait for a pending answer, in Node.js against HTTP."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

import django_lazyauth

MODULE = Path(django_lazyauth.__file__).parent / "static/django_lazyauth/pending.js"
SCRIPT = """
import { settled } from %(module)s;
const ask = (path) => () => fetch(%(base)s + path);
const answers = await Promise.all([
  settled(ask("/twice")),
  settled(ask("/for-ever"), { longest: 1500 }),
  settled(ask("/refused")),
  settled(ask("/for-ever"), { signal: AbortSignal.timeout(300) }).catch((error) => ({ status: error.name })),
]);
console.log(JSON.stringify(answers.map((answer) => answer.status)));
"""

pytestmark = pytest.mark.services


class Pending(BaseHTTPRequestHandler):
    """As the endpoints of this site answer."""

    asked: dict[str, int]

    def do_GET(self):
        self.asked[self.path] = self.asked.get(self.path, 0) + 1
        is_pending = self.path == "/for-ever" or (self.path == "/twice" and self.asked[self.path] <= 2)
        self.send_response(403 if self.path == "/refused" else 202 if is_pending else 200)
        self.send_header("Retry-After", "1")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


def test_it_asks_again_until_the_answer_is_settled(tmp_path):
    """It gives up when its time is over, and stops where the page says so."""
    if shutil.which("node") is None:
        pytest.skip("service: no Node here")
    handler = type("Handler", (Pending,), {"asked": {}})
    server = HTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    module = tmp_path / "pending.mjs"
    module.write_text(MODULE.read_text())
    given = {
        "module": json.dumps(module.as_uri()),
        "base": json.dumps(f"http://127.0.0.1:{server.server_port}"),
    }
    try:
        done = subprocess.run(
            ["node", "--input-type=module", "-e", SCRIPT % given],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        server.shutdown()
        server.server_close()
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [200, 202, 403, "TimeoutError"]
    assert handler.asked["/twice"] == 3
    assert handler.asked["/refused"] == 1
