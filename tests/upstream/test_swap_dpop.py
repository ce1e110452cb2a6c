"""``UpstreamSwap`` and tokens that are bound to a key: swapped with a proof, and passed on never (spec 8.4, I24)."""

from __future__ import annotations

import asyncio
from io import BytesIO
from urllib.parse import urlsplit

import pytest

from django_lazyauth.api import asgi, wsgi
from django_lazyauth.models import PendingAuthorization
from django_lazyauth.sessions import end
from tests.conftest import CONFIDENTIAL_SECRET, register
from tests.support.dpop import ProofKey
from tests.support.journey import ISSUER, consent, get, make_browser, post_form, query_of, start

from .conftest import Holder

pytestmark = pytest.mark.django_db(transaction=True)

KEY, OTHER = ProofKey(), ProofKey()
PATHS = {"/tools/": "acme"}
URL = f"{ISSUER}/tools/notes"


@pytest.fixture
def bound(upstream, client_):
    """What a client holds whose tokens are bound to its key."""
    browser = make_browser()
    back = urlsplit(upstream.authorize(start(browser, client_, provider="acme").headers["Location"]))
    answer = consent(browser, get(browser, f"{back.path}?{back.query}"))
    form = client_.token_form(query_of(answer.headers["Location"])["code"])
    tokens = post_form(make_browser(), "/token", form, headers={"dpop": KEY.proof(f"{ISSUER}/token")})
    assert tokens.json()["token_type"] == "DPoP"
    return Holder(upstream, tokens.json())


class Answer:
    """What a request came to: the headers that reached the tool server, or the refusal."""

    def __init__(self) -> None:
        self.seen: dict[str, str] | None = None
        self.status, self.headers = 200, {}


def by_asgi(headers, **settings):
    answer = Answer()

    async def tool(scope, receive, send):
        answer.seen = {name.decode(): value.decode() for name, value in scope["headers"]}

    async def send(message):
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {name.decode(): value.decode() for name, value in message["headers"]}

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/tools/notes",
        "scheme": "https",
        "query_string": b"",
        "headers": [
            (b"host", b"auth.example"),
            *((name.lower().encode(), value.encode()) for name, value in headers.items()),
        ],
    }
    asyncio.run(asgi.UpstreamSwap(tool, paths=PATHS, **settings)(scope, None, send))
    return answer


def by_wsgi(headers, **settings):
    answer = Answer()

    def tool(environ, start_response):
        answer.seen = {
            name.removeprefix("HTTP_").lower().replace("_", "-"): value
            for name, value in environ.items()
            if name.startswith("HTTP_")
        }
        return []

    def start_response(status, said):
        answer.status = int(status.split()[0])
        answer.headers = {name.lower(): value for name, value in said}

    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/tools/notes",
        "SCRIPT_NAME": "",
        "SERVER_NAME": "auth.example",
        "SERVER_PORT": "443",
        "HTTP_HOST": "auth.example",
        "wsgi.url_scheme": "https",
        "wsgi.input": BytesIO(),
        **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()},
    }
    list(wsgi.UpstreamSwap(tool, paths=PATHS, **settings)(environ, start_response))
    return answer


@pytest.fixture(params=[by_asgi, by_wsgi], ids=["asgi", "wsgi"])
def call(request):
    def send(token, proof=None, *, scheme="DPoP", **settings):
        headers = {"Authorization": f"{scheme} {token}"} | ({"DPoP": proof} if proof is not None else {})
        return request.param(headers, **settings)

    return send


def proof_for(token, key=KEY, **claims):
    return key.proof(claims.pop("htu", URL), access_token=token, **claims)


@pytest.mark.parametrize("how", [{}, {"header": "X-Token"}], ids=["in its place", "in a header of its own"])
def test_a_proved_token_is_swapped_and_its_proof_is_not_passed_on(call, bound, how):
    """Spec 8.4: the proof is for this site; the tool server gets the upstream's token."""
    token = bound.access_token
    seen = call(token, proof_for(token), **how).seen
    assert "dpop" not in seen
    if how:
        assert (seen["x-token"], "authorization" in seen) == (bound.upstream_token(), False)
    else:
        assert seen["authorization"] == f"Bearer {bound.upstream_token()}"


@pytest.mark.parametrize("unswapped", ["refuse", "pass"])
def test_i24_a_token_of_ours_is_never_passed_on_or_swapped_unproved(call, bound, unswapped):
    """Spec 8.4: whatever is done with requests that are not swapped."""
    token = bound.access_token
    used = proof_for(token)
    assert call(token, used, unswapped=unswapped).status == 200
    for proof, scheme, error in (
        (None, "Bearer", "invalid_token"),
        (proof_for(token), "Bearer", "invalid_token"),
        (None, "DPoP", "invalid_dpop_proof"),
        (used, "DPoP", "invalid_dpop_proof"),
        (proof_for(token, htu=f"{ISSUER}/tools/other"), "DPoP", "invalid_dpop_proof"),
        (proof_for(token, OTHER), "DPoP", "invalid_token"),
        (proof_for(token, iat=1), "DPoP", "use_dpop_nonce"),
    ):
        answer = call(token, proof, scheme=scheme, unswapped=unswapped)
        assert (answer.seen, answer.status) == (None, 401)
        challenge = answer.headers["www-authenticate"]
        assert f'error="{error}"' in challenge
        assert challenge.startswith(f"{scheme} ")
        assert ("dpop-nonce" in answer.headers) is (error == "use_dpop_nonce")
        assert "DPoP-Nonce" in answer.headers["access-control-expose-headers"]


@pytest.mark.parametrize("unswapped", ["refuse", "pass"])
def test_i24_a_bearer_of_ours_is_no_bound_token(call, holder, unswapped):
    token = holder.access_token
    answer = call(token, proof_for(token), unswapped=unswapped)
    assert (answer.seen, answer.status) == (None, 401)
    assert call(token, scheme="Bearer", unswapped=unswapped).status == 200


@pytest.mark.parametrize("unswapped", ["refuse", "pass"])
@pytest.mark.parametrize("scheme", ["Bearer", "DPoP"])
def test_i24_a_token_of_ours_is_not_passed_on_once_its_session_ended(call, request, scheme, unswapped):
    """I11, I24: its row is gone, and a resource that checks it by our keys alone would take it until it expires."""
    token = request.getfixturevalue("bound" if scheme == "DPoP" else "holder").access_token
    assert call(token, proof_for(token), scheme=scheme, unswapped=unswapped).status == 200
    for session_id in PendingAuthorization.objects.values_list("pk", flat=True):
        end.end_session(session_id)
    answer = call(token, proof_for(token), scheme=scheme, unswapped=unswapped)
    assert (answer.seen, answer.status) == (None, 401)


@pytest.mark.parametrize("unswapped", ["refuse", "pass"])
@pytest.mark.parametrize("scheme", ["Bearer", "DPoP"])
def test_i24_the_token_of_a_client_that_acts_for_itself_is_not_passed_on(call, db, scheme, unswapped):
    """Spec 3: a token of ours that cannot be swapped is refused. The tool server could use it elsewhere."""
    register(
        client_id="machine",
        client_type="confidential",
        authorization_grant_type="client-credentials",
        client_secret=CONFIDENTIAL_SECRET,
        hash_client_secret=True,
    )
    form = {
        "grant_type": "client_credentials",
        "client_id": "machine",
        "client_secret": CONFIDENTIAL_SECRET,
        "scope": "profile",
    }
    headers = {"dpop": KEY.proof(f"{ISSUER}/token")} if scheme == "DPoP" else {}
    token = post_form(make_browser(), "/token", form, headers=headers).json()["access_token"]
    answer = call(token, proof_for(token), scheme=scheme, unswapped=unswapped)
    assert (answer.seen, answer.status) == (None, 401)


@pytest.mark.parametrize("how", [{}, {"header": "X-Token"}], ids=["in its place", "in a header of its own"])
def test_a_token_of_somebody_else_passes_with_its_proof_where_that_is_allowed(call, how):
    """The tool server may take DPoP tokens of another issuer."""
    seen = call("theirs", "their.own.proof", unswapped="pass", **how).seen
    assert (seen["authorization"], seen["dpop"]) == ("DPoP theirs", "their.own.proof")
    assert call("theirs", "their.own.proof").status == 401


def test_two_credentials_are_ambiguous(call, bound):
    token = bound.access_token
    for scheme in (f"DPoP {token},Bearer", f"Bearer {token}, DPoP", "dpop\t"):
        answer = call(token, proof_for(token), scheme=scheme, unswapped="pass")
        assert (answer.seen, answer.status) == (None, 400)
