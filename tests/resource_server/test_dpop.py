"""Tokens that are bound to a key are worth nothing without a new proof of it, at every resource (RFC 9449 §7, I24)."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest
from django.urls import include, path
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView

from django_lazyauth.api.authentication import LazyAuthAuthentication
from django_lazyauth.openid.dpop.check import REMEMBERED
from django_lazyauth.openid.dpop.proof import ALGORITHMS
from django_lazyauth.resource_server.authentication import AccessTokenAuthentication
from django_lazyauth.resource_server.permissions import RequireAuthentication, RequireScope
from tests.support.access_tokens import made
from tests.support.caches import redis_cache  # noqa: F401
from tests.support.dpop import ProofKey, key_of
from tests.support.journey import ISSUER, get, make_browser, post_form
from tests.support.recorded import code_for
from tests.tokens.conftest import sign_in

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]

KEY, OTHER = ProofKey(), ProofKey()


class Checked(AccessTokenAuthentication):
    revocation_check = True


class Elsewhere(AccessTokenAuthentication):
    audience = ("https://tools.example/notes", "https://other.example")


def view(authentication, *permissions):
    members = {
        "authentication_classes": [authentication],
        "permission_classes": [IsAuthenticated, *permissions],
    }
    return type(
        "View", (APIView,), {**members, "get": lambda self, request: Response({"ok": True})}
    ).as_view()


urlpatterns = [
    path("offline", view(AccessTokenAuthentication)),
    path("checked", view(Checked)),
    path("database", view(LazyAuthAuthentication)),
    path("notes/mine", view(Elsewhere)),
    path("scoped", view(AccessTokenAuthentication, RequireScope("notes:write"))),
    path("strong", view(AccessTokenAuthentication, RequireAuthentication(acr=["urn:example:mfa"]))),
    path("bound/offline", view(AccessTokenAuthentication)),
    path("bound/database", view(LazyAuthAuthentication)),
    path("", include("django_lazyauth.urls")),
]

#: Each way that a token is taken: its address, and the format of access tokens.
WAYS = {
    "offline": ("/offline", "jwt"),
    "checked": ("/checked", "jwt"),
    "database": ("/database", "jwt"),
    "database, opaque": ("/database", "opaque"),
    "userinfo": ("/userinfo", "jwt"),
    "userinfo, opaque": ("/userinfo", "opaque"),
    "upstream tokens": ("/upstream-tokens/demo", "jwt"),
}


@pytest.fixture(params=WAYS)
def url(request, lazyauth, client_):
    url, form = WAYS[request.param]
    lazyauth(ACCESS_TOKEN_FORMAT=form, UPSTREAM_TOKEN_CLIENTS={client_.client_id: ["demo"]})
    return url


def bound(client, key=KEY, **changes):
    """Return an access token of *client* that is bound to *key*."""
    changes = {"scope": "openid profile email", **changes}
    code = code_for(client, **changes)
    answer = post_form(
        make_browser(), "/token", client.token_form(code), headers={"dpop": key.proof(f"{ISSUER}/token")}
    )
    assert answer.status_code == 200, answer.content
    assert answer.json()["token_type"] == "DPoP"
    return answer.json()["access_token"]


@pytest.fixture
def token(url, client_):
    return bound(client_, scope="openid profile email upstream:demo")


def call(url, token, proof=None, *, scheme="DPoP", **extra):
    headers = {"authorization": f"{scheme} {token}"} | ({"dpop": proof} if proof is not None else {})
    return get(make_browser(), url, headers=headers, **extra)


def proof_for(url, token, key=KEY, **claims):
    return key.proof(
        claims.pop("htu", f"{ISSUER}{url}"), claims.pop("htm", "GET"), access_token=token, **claims
    )


def challenge_of(answer):
    scheme, _, members = answer.headers["WWW-Authenticate"].partition(" ")
    return scheme, dict(re.findall(r'(\w+)="([^"]*)"', members))


def assert_refused(answer, error):
    """Check the status, and that the one challenge is in the scheme of bound tokens."""
    assert answer.status_code == 401, answer.content
    scheme, members = challenge_of(answer)
    assert (scheme, members["error"], members["algs"]) == ("DPoP", error, " ".join(ALGORITHMS))
    assert "Bearer" not in answer.headers["WWW-Authenticate"]


# -- what passes -----------------------------------------------------------------------------------------------


def test_a_bound_token_passes_with_a_proof_of_its_key(url, token):
    """RFC 9449 §7.1, each algorithm in its own token below."""
    assert call(url, token, proof_for(url, token)).status_code == 200
    assert call(url, token, proof_for(url, token), scheme="dpop").status_code == 200, (
        "no case (RFC 9110 §11.1)"
    )
    assert call(f"{url}?a=b", token, proof_for(url, token)).status_code == 200, "no query (RFC 9449 §4.3)"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_each_algorithm_is_taken(client_, algorithm):
    key = key_of(algorithm)
    token = bound(client_, key)
    assert call("/offline", token, proof_for("/offline", token, key)).status_code == 200


def test_bearers_work_as_before_and_pay_nothing(client_, django_assert_num_queries):
    """Spec 8.4: no query, and no look at the cache."""
    token = sign_in(client_)["access_token"]
    for url, queries in (("/offline", 0), ("/checked", 1), ("/database", 1)):
        with django_assert_num_queries(queries):
            assert call(url, token, scheme="Bearer").status_code == 200
    assert call("/offline", token, "a header that nobody needs", scheme="Bearer").status_code == 200


def test_a_bound_token_costs_no_query_more(client_, django_assert_num_queries):
    token = bound(client_)
    for url, queries in (("/offline", 0), ("/checked", 1), ("/database", 1)):
        with django_assert_num_queries(queries):
            assert call(url, token, proof_for(url, token)).status_code == 200


# -- stolen, copied, moved -------------------------------------------------------------------------------------


def test_i24_a_stolen_token_does_nothing_without_the_key(url, token):
    """RFC 9449 §7.1: neither as a bearer, nor without proof, nor with the thief's own."""
    answer = call(url, token, scheme="Bearer")
    assert (answer.status_code, challenge_of(answer)[1]["error"]) == (401, "invalid_token")
    assert call(url, token, proof_for(url, token), scheme="Bearer").status_code == 401
    assert_refused(call(url, token), "invalid_dpop_proof")
    assert_refused(call(url, token, ""), "invalid_dpop_proof")
    assert_refused(call(url, token, proof_for(url, token, OTHER)), "invalid_token")


def test_i24_a_bearer_is_no_bound_token(url, client_):
    """RFC 9449 §7.2: whoever holds it could sign with any key."""
    bearer = sign_in(client_, scope="openid profile email upstream:demo")["access_token"]
    assert_refused(call(url, bearer, proof_for(url, bearer)), "invalid_token")


def test_i24_a_proof_is_good_once(url, token):
    """RFC 9449 §11.1."""
    proof = proof_for(url, token)
    assert call(url, token, proof).status_code == 200
    assert_refused(call(url, token, proof), "invalid_dpop_proof")
    assert call(url, token, proof_for(url, token)).status_code == 200


#: What is wrong with a proof.
WRONG = {
    "another method": {"htm": "POST"},
    "another path": {"htu": f"{ISSUER}/elsewhere"},
    "another host": {"htu": "https://attacker.example/offline"},
    "no token": {"ath": None},
    "another token": {"ath": "A" * 43},
    "no id": {"jti": None},
    "no time": {"iat": None},
}


@pytest.mark.parametrize("claims", WRONG.values(), ids=WRONG)
def test_i24_a_proof_for_something_else_is_refused_and_uses_nothing_up(url, token, claims):
    """RFC 9449 §4.3."""
    assert_refused(
        call(url, token, proof_for(url, token, **{"jti": "one-id", **claims})), "invalid_dpop_proof"
    )
    assert call(url, token, proof_for(url, token, jti="one-id")).status_code == 200


def test_i24_the_proof_of_a_token_request_is_none_here(url, token):
    """RFC 9449 §4.3: it names no token."""
    assert_refused(call(url, token, KEY.proof(f"{ISSUER}{url}", "GET")), "invalid_dpop_proof")


def test_i24_two_credentials_are_none(url, token):
    """RFC 6750 §2: servers join two headers by a comma."""
    proof = proof_for(url, token)
    for scheme in (f"Bearer {token},DPoP", f"DPoP {token},Bearer", f"DPoP {token},DPoP"):
        assert call(url, token, proof, scheme=scheme).status_code == 401
    assert_refused(call(url, token, f"{proof},{proof_for(url, token)}"), "invalid_dpop_proof")
    assert call(url, token, proof).status_code == 200, "nothing was used up"


def test_i24_forged_forwarding_moves_no_proof(url, token):
    """RFC 9449 §4.3: the URL is the one that clients know, never of `Host`."""
    proof = proof_for(url, token, htu=f"https://testserver{url}")
    assert_refused(call(url, token, proof, SERVER_NAME="testserver"), "invalid_dpop_proof")


@pytest.mark.parametrize(
    "confirmation", [{}, {"jkt": 1}, {"x5t#S256": "A"}, {"jkt": KEY.thumbprint, "x5t#S256": "A"}, "A", None]
)
def test_i24_a_token_that_is_bound_in_another_way_needs_more_than_a_proof(client_, confirmation):
    """RFC 7800 §3.1: what we cannot check is not ignored."""
    from django_lazyauth.tokens import keys

    now = int(time.time())
    claims = {
        "iss": ISSUER, "aud": ISSUER, "sub": "1", "client_id": "c", "jti": "j", "iat": now, "exp": now + 600,
        "cnf": confirmation,
    }  # fmt: skip
    token = keys.sign(claims, key=keys.key_for(), typ="at+jwt")
    assert call("/offline", token, proof_for("/offline", token)).status_code == 401
    assert call("/offline", token, scheme="Bearer").status_code == 401


def test_a_foreign_token_is_none_whatever_comes_with_it(url):
    """I18."""
    token = made()
    for scheme in ("Bearer", "DPoP"):
        assert call(url, token, proof_for(url, token), scheme=scheme).status_code == 401
        assert call(url, "", proof_for(url, token), scheme=scheme).status_code == 401
        assert call(url, "\x00é" * 9000, "x" * 9000, scheme=scheme).status_code == 401


# -- nonces ----------------------------------------------------------------------------------------------------


def test_a_clock_that_is_off_is_healed_by_a_nonce(url, token):
    """RFC 9449 §9: 401, and the same request with the nonce passes, an hour off."""
    hour = int(time.time()) - 3600
    answer = call(url, token, proof_for(url, token, iat=hour))
    assert_refused(answer, "use_dpop_nonce")
    nonce = answer.headers["DPoP-Nonce"]
    again = call(url, token, proof_for(url, token, iat=hour, nonce=nonce))
    assert again.status_code == 200
    assert again.headers["DPoP-Nonce"], "the next one, because it will be needed"
    assert_refused(call(url, token, proof_for(url, token, nonce="unknown")), "use_dpop_nonce")
    assert "DPoP-Nonce" not in call(url, token, proof_for(url, token)).headers


def test_a_site_may_want_a_nonce_always(url, token, lazyauth):
    """RFC 9449 §8.2, §9: each answer brings the next."""
    lazyauth(DPOP={"nonce": "always"})
    answer = call(url, token, proof_for(url, token))
    assert_refused(answer, "use_dpop_nonce")
    for _ in range(3):
        answer = call(url, token, proof_for(url, token, nonce=answer.headers["DPoP-Nonce"]))
        assert answer.status_code == 200


# -- the cache -------------------------------------------------------------------------------------------------


class Broken:
    def add(self, *args, **kwargs):
        raise ConnectionError


def test_without_the_cache_nobody_can_say_whether_a_proof_is_new(url, token, monkeypatch, settings):
    """Spec 8.4: 503, and nothing passes."""
    from django_lazyauth.resource_server import proof

    with monkeypatch.context() as patch:
        patch.setattr(proof, "cache", Broken())
        answer = call(url, token, proof_for(url, token))
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}
    assert call(url, token, proof_for(url, token)).status_code == 503, "it would take every proof for new"


WORKER = """
import json, sys, django
job = json.loads(sys.stdin.readline())
from django.conf import settings
settings.CACHES = job["caches"]
django.setup()
from django_lazyauth.errors import InvalidDpopProof
from django_lazyauth.openid.dpop.proof import Proof
from django_lazyauth.resource_server.proof import use_once
print("ready", flush=True)
sys.stdin.readline()
said = []
for _ in range(job["times"]):
    try:
        use_once(Proof("the key", "the id", has_nonce=False))
        said.append("taken")
    except InvalidDpopProof:
        said.append("refused")
print(json.dumps(said))
"""


@pytest.mark.services
@pytest.mark.slow
@pytest.mark.usefixtures("redis_cache")
def test_i24_of_100_replays_in_4_processes_one_passes(settings):
    """RFC 9449 §11.1: whichever process they come to."""
    job = json.dumps({"caches": settings.CACHES, "times": 25})
    with ExitStack() as stack:
        workers = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", WORKER],
                    cwd=Path(__file__).parents[2],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for _ in range(4)
        ]
        for worker in workers:
            worker.stdin.write(job + "\n")
            worker.stdin.flush()
        for worker in workers:
            assert worker.stdout.readline() == "ready\n"
        for worker in workers:
            worker.stdin.write("go\n")
            worker.stdin.flush()
        said = Counter(word for worker in workers for word in json.loads(worker.stdout.readline()))
    assert said == {"taken": 1, "refused": 99}


# -- challenges and metadata -----------------------------------------------------------------------------------


def test_a_challenge_has_one_scheme(client_, lazyauth):
    """Spec 8.4: bearer unless the request used DPoP, with the same members."""
    lazyauth(SCOPES={"notes:write": "Change your notes"}, ACR_VALUES=["urn:example:mfa"])
    token, bearer = bound(client_), sign_in(client_)["access_token"]
    for url, status, error in (
        ("/scoped", 403, "insufficient_scope"),
        ("/strong", 401, "insufficient_user_authentication"),
    ):
        theirs = call(url, bearer, scheme="Bearer")
        ours = call(url, token, proof_for(url, token))
        assert (theirs.status_code, ours.status_code) == (status, status)
        scheme, members = challenge_of(ours)
        assert (scheme, members.pop("algs"), members["error"]) == ("DPoP", " ".join(ALGORITHMS), error)
        assert challenge_of(theirs) == ("Bearer", members)
    assert challenge_of(get(make_browser(), "/scoped"))[0] == "Bearer"


@pytest.mark.parametrize("url", ["/bound/offline", "/bound/database"])
def test_a_resource_may_take_bound_tokens_only(client_, lazyauth, url):
    """RFC 9728 §2: dpop_bound_access_tokens_required."""
    lazyauth(PROTECTED_RESOURCES={"/bound": {"dpop_bound_access_tokens_required": True}, "/offline": {}})
    bearer, token = sign_in(client_)["access_token"], bound(client_)
    assert_refused(call(url, bearer, scheme="Bearer"), "invalid_token")
    assert call(url, token, proof_for(url, token)).status_code == 200
    scheme, members = challenge_of(get(make_browser(), url))
    assert (scheme, members["algs"], members.get("error")) == ("DPoP", " ".join(ALGORITHMS), None)
    place = "/.well-known/oauth-protected-resource"
    described = get(make_browser(), f"{place}/bound").json()
    assert described["dpop_bound_access_tokens_required"] is True
    assert described["dpop_signing_alg_values_supported"] == list(ALGORITHMS)
    assert "dpop_bound_access_tokens_required" not in get(make_browser(), f"{place}/offline").json()
    assert call("/offline", bearer, scheme="Bearer").status_code == 200


def test_a_proof_names_the_origin_of_the_audience(client_):
    """Spec 8.4: the audience that the path lies below, of those that the operator named. `Host` chooses no other."""
    token = bound(client_, resource=["https://tools.example/notes"])
    for origin, status in (
        ("https://tools.example", 200),
        (ISSUER, 401),
        ("https://other.example", 401),
        ("https://attacker.example", 401),
    ):
        proof = proof_for("/notes/mine", token, htu=f"{origin}/notes/mine")
        assert call("/notes/mine", token, proof).status_code == status
    other = bound(client_, resource=["https://other.example"])
    proof = proof_for("/notes/mine", other, htu="https://tools.example/notes/mine")
    assert call("/notes/mine", other, proof).status_code == 200


def test_userinfo_asks_for_bound_tokens_where_nothing_else_is_taken(client_, lazyauth):
    """RFC 9449 §7.1: whoever is told of bearers would come with one again."""
    lazyauth(PROTECTED_RESOURCES={"/": {"dpop_bound_access_tokens_required": True}})
    bearer, token = sign_in(client_)["access_token"], bound(client_)
    assert_refused(call("/userinfo", bearer, scheme="Bearer"), "invalid_token")
    scheme, members = challenge_of(get(make_browser(), "/userinfo"))
    assert (scheme, members) == ("DPoP", {"algs": " ".join(ALGORITHMS)})
    assert call("/userinfo", token, proof_for("/userinfo", token)).status_code == 200


@pytest.mark.parametrize("host", ["tools.example", "auth.example", "attacker.example"])
def test_a_proof_names_the_origin_of_the_audience_where_the_database_is_asked_too(
    client_, lazyauth, settings, host
):
    """Spec 8.4: a site with a host for its API. `Host` chooses among what the operator named, and the issuer."""
    settings.ALLOWED_HOSTS = ["*"]
    lazyauth(RESOURCE_SERVER={"audience": ["https://tools.example/"]})
    token = bound(client_)
    known = "https://tools.example" if host == "tools.example" else ISSUER
    for origin in ("https://attacker.example", "https://tools.example", ISSUER):
        for url in ("/database", "/userinfo"):
            proof = proof_for(url, token, htu=f"{origin}{url}")
            answer = get(
                make_browser(), url, headers={"authorization": f"DPoP {token}", "dpop": proof, "host": host}
            )
            assert answer.status_code == (200 if origin == known else 401)


def test_i24_a_proof_is_remembered_longer_than_another_clock_takes_it():
    """I24: of two processes whose clocks are a minute apart, the one that is ahead sees a proof of the future first."""
    assert REMEMBERED == 300 + 300 + 60


def test_i11_a_revoked_bound_token_is_refused_where_the_database_is_asked(client_):
    token = bound(client_)
    post_form(make_browser(), "/revoke_token", {"token": token, "client_id": client_.client_id})
    for url in ("/checked", "/database", "/userinfo"):
        assert_refused(call(url, token, proof_for(url, token)), "invalid_token")


def test_scripts_of_other_origins_may_send_a_proof_and_read_a_nonce(url, client_, lazyauth):
    """Fetch, CORS protocol: of our own endpoints. The host's views have the host's own CORS."""
    if not url.startswith(("/userinfo", "/upstream")):
        return
    preflight = make_browser().options(
        url,
        secure=True,
        headers={"origin": "https://app.example", "access-control-request-method": "GET"},
    )
    assert "DPoP" in preflight.headers["Access-Control-Allow-Headers"]
    exposed = get(make_browser(), url).headers["Access-Control-Expose-Headers"]
    assert {"DPoP-Nonce", "WWW-Authenticate", "Retry-After"} <= set(exposed.split(", "))
