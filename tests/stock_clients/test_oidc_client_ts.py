"""oidc-client-ts in a real Chromium: a single-page application that lives on another origin than the site."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from oauth2_provider.models import Application

from tests.browser import chromium
from tests.support.journey import query_of

HERE = Path(__file__).parent

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]

PAGE = b"""<!doctype html><html lang=en><meta charset=utf-8><title>Single page</title><link rel=icon href=data:,>
<script src=/oidc-client-ts.js></script><script src=/spa.js></script><h1>Single page</h1>"""
#: What the hidden frame of a silent sign-in loads: it hands its address to the page.
SILENT = b"""<!doctype html><html lang=en><title>Silent</title><script src=/oidc-client-ts.js></script>
<script>new oidc.UserManager({authority: "-", client_id: "-", redirect_uri: "-"}).signinSilentCallback()</script>"""
#: What does not depend on where the issuer is.
one_set_up = pytest.mark.parametrize("issuer", ["issuer with a path"], indirect=True)
#: Another host than the site's is another site to the browser: no cookie goes there from a frame.
OTHER_SITE = "127.0.0.1"
SAME_SITE = "localhost"


class Spa(ThreadingHTTPServer):
    """Serves the application: one page for every address but the silent one."""

    daemon_threads = True
    files: dict[str, tuple[str, bytes]]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Spa

    def log_message(self, *args: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        kind, body = self.server.files.get(path, ("text/html", PAGE))
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def spa(node) -> Iterator[int]:
    """The port that the application is served at."""
    library = node.folder / "node_modules/oidc-client-ts/dist/browser/oidc-client-ts.min.js"
    with Spa(("127.0.0.1", 0), Handler) as server:
        server.files = {
            "/oidc-client-ts.js": ("text/javascript", library.read_bytes()),
            "/spa.js": ("text/javascript", (HERE / "spa.js").read_bytes()),
            "/silent": ("text/html", SILENT),
        }
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def in_browser() -> Iterator[Callable[..., Any]]:
    """Run scenarios in a thread of their own: Playwright keeps an event loop, beside which Django's ORM refuses."""
    with ThreadPoolExecutor(1) as thread, ExitStack() as stack:
        browser = thread.submit(lambda: stack.enter_context(chromium.running())).result(timeout=60)
        yield lambda scenario: thread.submit(scenario, browser).result(timeout=280)
        thread.submit(stack.pop_all().close).result(timeout=60)


class Tab:
    """A person's tab with the application open."""

    def __init__(self, page: Any, home: str) -> None:
        self.page, self.home = page, home

    def call(self, expression: str, *arguments: Any) -> Any:
        return self.page.evaluate(f"(arguments_) => app.{expression}(...arguments_)", list(arguments))

    def sign_in(self, *, decision: str = "Allow") -> None:
        """Start at the application, answer the site's pages, arrive at the application again."""
        with self.page.expect_navigation(url=lambda url: not url.startswith(self.home)):
            self.page.evaluate("() => { app.signIn() }")
        if self.page.get_by_role("button", name="Demo").count():
            self.page.get_by_role("button", name="Demo").click()
        if not self.page.url.startswith(self.home):
            self.page.get_by_role("button", name=decision, exact=True).click()
        self.page.wait_for_url(f"{self.home}/callback?*")


@contextmanager
def tab_of(browser: Any, issuer: str, host: str, port: int, *, subject: str = "ada") -> Iterator[Tab]:
    """Open the application in a fresh profile; the upstream signs *subject* in without a page."""
    home = f"http://{host}:{port}"
    context = browser.new_context(locale="en-GB")
    context.set_default_timeout(60_000)

    def upstream(route: Any) -> None:
        came = query_of(route.request.url)
        answer = urlencode({"state": came["state"], "code": subject})
        route.fulfill(status=302, headers={"Location": f"{came['redirect_uri']}?{answer}"})

    context.route("https://upstream.example/**", upstream)
    page = context.new_page()
    page.goto(home)
    page.evaluate("(issuer) => sessionStorage.setItem('issuer', issuer)", issuer)
    page.reload()
    yield Tab(page, home)
    context.close()


def test_an_application_of_another_origin_signs_in_renews_and_revokes(issuer, spa, in_browser):
    """Spec 7, CORS; RFC 9700 §2.1; OpenID Connect Core §3.1.2.6."""

    def scenario(browser):
        with tab_of(browser, issuer.url, OTHER_SITE, spa) as tab:
            said = {"registered": tab.call("register"), "before": tab.call("silent")}
            tab.sign_in()
            said |= {
                "answer": query_of(tab.page.url),
                "user": tab.call("finish"),
                "userinfo": tab.call("userinfo"),
            }
            said |= {"frame": tab.call("silent"), "renewed": tab.call("renew"), "revoked": tab.call("revoke")}
            said["dead"] = tab.page.evaluate("() => app.failure(() => manager().signinSilent())")
            return said

    said = in_browser(scenario)
    assert said["registered"] == 201
    # Nobody is signed in; then somebody is, whose cookies no frame on another site gets.
    for refused in (said["before"], said["frame"]):
        assert (refused.get("name"), refused.get("error")) == ("ErrorResponse", "login_required"), refused
    assert said["answer"]["iss"] == issuer.url
    assert said["user"]["profile"]["email"] == "ada@people.example"
    assert said["user"]["profile"]["auth_time"]
    assert said["user"]["refreshable"]
    assert "offline_access" in said["user"]["scope"].split()
    assert said["userinfo"]["status"] == 200
    assert said["renewed"] == {"changed": True, "subject": True}
    assert said["revoked"]["status"] == 401
    assert 'error="invalid_token"' in said["revoked"]["challenge"]
    assert said["dead"]["error"] in ("invalid_grant", "login_required")
    assert Application.objects.get().client_type == "public"


@one_set_up
def test_an_application_of_the_same_site_renews_in_a_frame(issuer, spa, in_browser):
    """OpenID Connect Core §3.1.2.6: who is signed in and allowed it gets a code without a page, framed or not."""

    def scenario(browser):
        with tab_of(browser, issuer.url, SAME_SITE, spa) as tab:
            tab.call("register")
            before = tab.call("silent")
            tab.sign_in()
            return before, tab.call("finish"), tab.call("silent")

    before, user, after = in_browser(scenario)
    assert before["error"] == "login_required"
    assert after == {"unexpected": {"subject": user["profile"]["sub"]}}


@one_set_up
def test_what_scripts_may_read_and_what_not(issuer, spa, in_browser):
    """Spec 7, CORS: errors as well as answers, for the client's own origin; never with credentials."""

    def scenario(browser):
        with tab_of(browser, issuer.url, OTHER_SITE, spa) as tab:
            tab.call("register")
            server = tab.call("metadata")
            client_id = tab.page.evaluate("() => registration().client_id")
            own = tab.page.evaluate("() => registration().registration_access_token")
            place = tab.page.evaluate("() => registration().registration_client_uri")
            form = {"grant_type": "authorization_code", "code": "of nobody", "code_verifier": "v" * 43}
            said = {
                "keys": tab.call("seen", server["jwks_uri"]),
                "rfc8414": tab.call("seen", rfc8414_place(issuer)),
                "resource": tab.call(
                    "seen", issuer.origin + "/.well-known/oauth-protected-resource/api/whoever"
                ),
                "bad code": tab.call(
                    "post",
                    server["token_endpoint"],
                    {**form, "client_id": client_id, "redirect_uri": f"{tab.home}/callback"},
                ),
                "bad grant": tab.call(
                    "post", server["token_endpoint"], {"grant_type": "x", "client_id": client_id}
                ),
                "revocation": tab.call(
                    "post", server["revocation_endpoint"], {"token": "of nobody", "client_id": client_id}
                ),
                "bad userinfo": tab.call(
                    "seen", server["userinfo_endpoint"], {"headers": {"Authorization": "Bearer of.no.body"}}
                ),
                "bad registration": tab.call("json", server["registration_endpoint"], {"redirect_uris": []}),
                "own registration": tab.call("seen", place, {"headers": {"Authorization": f"Bearer {own}"}}),
                "with cookies": tab.call(
                    "seen",
                    server["userinfo_endpoint"],
                    {"credentials": "include", "headers": {"Authorization": "Bearer x"}},
                ),
            }
        with tab_of(browser, issuer.url, SAME_SITE, spa) as stranger:
            said["stranger"] = stranger.call(
                "post", server["token_endpoint"], {**form, "client_id": client_id, "redirect_uri": "x"}
            )
            return said

    said = in_browser(scenario)
    for readable in ("keys", "rfc8414", "resource", "revocation", "own registration"):
        assert said[readable].get("status") == 200, (readable, said[readable])
    assert (said["bad code"].get("status"), "invalid_grant" in said["bad code"]["body"]) == (400, True)
    assert said["bad grant"].get("status") == 400
    assert "unsupported_grant_type" in said["bad grant"]["body"]
    assert said["bad userinfo"].get("status") == 401
    assert 'error="invalid_token"' in said["bad userinfo"]["challenge"]
    assert (
        said["bad registration"].get("status"),
        "invalid_redirect_uri" in said["bad registration"]["body"],
    ) == (
        400,
        True,
    )
    # A stranger's script may send such a request, as anybody may, and learns nothing of the answer.
    assert "blocked" in said["stranger"]
    assert "blocked" in said["with cookies"]


def rfc8414_place(issuer) -> str:
    return f"{issuer.origin}/.well-known/oauth-authorization-server{urlsplit(issuer.url).path.rstrip('/')}"


@one_set_up
def test_a_denial_arrives_as_one(issuer, spa, in_browser):
    """RFC 6749 §4.1.2.1."""

    def scenario(browser):
        with tab_of(browser, issuer.url, OTHER_SITE, spa) as tab:
            tab.call("register")
            tab.sign_in(decision="Do not allow")
            return query_of(tab.page.url), tab.call("refusedCallback")

    answer, refused = in_browser(scenario)
    assert answer["iss"] == issuer.url
    assert (refused["name"], refused["error"]) == ("ErrorResponse", "access_denied")
