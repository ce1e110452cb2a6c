"""Spec 6, on another site: a real process that has this package and the issuer's URL, and a real issuer process.

The second site has no database, no users and no django-oauth-toolkit among its apps.
"""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import jwt
import pytest
from joserfc import jwt as joserfc_jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from django_lazyauth.tokens import keys
from tests.support.access_tokens import good_claims
from tests.support.caches import redis_caches, require_redis
from tests.support.dpop import ProofKey
from tests.support.id_tokens import OTHER_KEY, PRIVATE_KEYS, sign
from tests.support.two_sites import ApiSite, Issuer, free_port
from tests.tokens.conftest import SECRET, decoded
from tests.tokens.test_signing_keys import public_half

#: Each test starts an issuer and one or two sites, as processes.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

METADATA = "/.well-known/oauth-authorization-server"


@pytest.fixture
def start(machine):
    """Start processes; they end with the test."""
    with ExitStack() as stack:

        def started(kind, *args, **kwargs):
            process = kind(*args, **kwargs)
            stack.callback(process.stop)
            process.wait_until_up()
            return process

        yield started


def token_for(site, issuer, **form):
    return issuer.token("machine", SECRET, scope="openid", resource=site.url, **form)["access_token"]


@pytest.fixture
def issuer(start, pems):
    return start(Issuer, [pems["RS256"]])


@pytest.fixture
def site(start, issuer):
    return start(ApiSite, issuer.url)


# -- what it takes -----------------------------------------------------------------------------------------


def test_a_site_with_our_package_and_the_issuers_url_knows_who_calls(site, issuer):
    """Spec 6: keys by RFC 8414 metadata; a principal, for there are no users."""
    token = token_for(site, issuer)
    status, _, said = site.call(token)
    assert status == 200, said
    assert said == {
        "user": "Principal",
        "sub": "machine",
        "pk": f"{issuer.url}#machine",
        "client_id": "machine",
        "scopes": ["openid"],
        "tsid": "None",
        "audience": [site.url],
        "is_staff": False,
        "may": False,
    }
    assert issuer.fetches() == issuer.fetches(METADATA) == 1
    for _ in range(5):
        assert site.call(token)[0] == 200
    assert issuer.fetches() == 1


def test_it_loads_neither_the_toolkit_nor_our_models(site, issuer):
    """Spec 6: no tables of ours, nothing that would need them."""
    site.call(token_for(site, issuer))
    loaded = set(site.call(None, "/loaded")[2])
    assert "django_lazyauth.resource_server.keys" in loaded
    assert not {name for name in loaded if name.startswith("oauth")}
    for part in ("models", "toolkit", "flows", "api", "web", "providers"):
        assert f"django_lazyauth.{part}" not in loaded


def test_without_a_token_it_says_where_to_get_one(site, issuer):
    """RFC 9728 §5.1: the challenge leads to the metadata, which leads to the issuer."""
    status, headers, _ = site.call(None)
    assert status == 401
    url = f"http://127.0.0.1:{site.port}/.well-known/oauth-protected-resource/api"
    assert headers["WWW-Authenticate"] == f'Bearer realm="api", resource_metadata="{url}"'
    status, headers, document = site.call(None, "/.well-known/oauth-protected-resource/api")
    assert status == 200
    assert (document["resource"], document["authorization_servers"]) == (site.url, [issuer.url])
    assert document["resource_name"] == "Test API"
    assert headers["Access-Control-Allow-Origin"] == "*"
    for path in ("", "/other", "/api/more"):
        assert site.request("GET", f"/.well-known/oauth-protected-resource{path}")[0] == 404


def test_a_script_of_another_origin_reads_every_answer_about_the_metadata(site):
    """RFC 9728 §3.1, Fetch: MCP clients in a browser send MCP-Protocol-Version, which needs a preflight."""
    origin, base = "https://app.example", "/.well-known/oauth-protected-resource"
    for method, path, expected in [("GET", "/other", 404), ("POST", "/api", 405), ("GET", "/api", 200)]:
        status, headers, _body = site.request(method, base + path, Origin=origin)
        assert (status, headers["Access-Control-Allow-Origin"]) == (expected, "*")
    for path in ("/api", "/other"):
        status, headers, body = site.request(
            "OPTIONS",
            base + path,
            **{"Origin": origin, "Access-Control-Request-Headers": "mcp-protocol-version"},
        )
        assert (status, body) == (204, b"")
        assert headers["Access-Control-Allow-Origin"] in {"*", origin}
        assert "MCP-Protocol-Version" in headers["Access-Control-Allow-Headers"]
        assert "GET" in headers["Access-Control-Allow-Methods"]


def test_a_scope_that_is_missing_is_named(site, issuer):
    """RFC 6750 §3.1."""
    status, headers, said = site.call(token_for(site, issuer), "/api/writes")
    assert status == 403
    assert 'error="insufficient_scope", scope="tools:write"' in headers["WWW-Authenticate"]
    assert said == {"error": "insufficient_scope", "scope": "tools:write"}


def test_tokens_for_other_sites_and_of_other_issuers_are_refused(site, issuer, pems, lazyauth):
    """RFC 9068 §4: a good signature of the right issuer is not enough."""
    good = token_for(site, issuer)
    assert site.call(good)[0] == 200
    header, claims = decoded(good)
    lazyauth(SIGNING_KEYS=[pems["RS256"]])
    key = keys.key_for()
    elsewhere = issuer.token("machine", SECRET, scope="openid", resource="https://other.example")
    nowhere = issuer.token("machine", SECRET, scope="openid")
    bad = {
        "for another site": elsewhere["access_token"],
        "for the issuer itself": nowhere["access_token"],
        "ID token": keys.sign(claims, key=key, typ="JWT"),
        "logout token": keys.sign(claims, key=key, typ="logout+jwt"),
        "no type": jwt.encode(claims, key.private_key, "RS256", {"kid": key.kid, "typ": None}),
        "other issuer": keys.sign({**claims, "iss": "https://evil.test"}, key=key, typ="at+jwt"),
        "other key": jwt.encode(claims, OTHER_KEY, "RS256", {**header}),
        "other algorithm": jwt.encode(claims, PRIVATE_KEYS["ES256"], "ES256", {**header, "alg": "ES256"}),
        "none": jwt.encode(claims, None, "none", {**header, "alg": "none"}),
        "expired": keys.sign({**claims, "exp": 1}, key=key, typ="at+jwt"),
        "garbage": "a.b.c",
        "of ours": sign(good_claims(), header={"typ": "at+jwt"}),
    }
    for what, token in bad.items():
        status, headers, _ = site.call(token)
        assert status == 401, what
        assert 'error="invalid_token"' in headers["WWW-Authenticate"], what
    assert issuer.fetches() == 1


# -- how the keys come and go ------------------------------------------------------------------------------


def test_a_rotation_at_the_issuer_needs_nothing_to_be_done(site, issuer, pems):
    """Done when 4: tokens signed before stay good; a key that is new is fetched when its first token comes."""
    before = token_for(site, issuer)
    assert site.call(before)[0] == 200
    issuer.change(SIGNING_KEYS=[pems["ES256"], public_half(pems["RS256"])])
    after = token_for(site, issuer)
    assert decoded(after)[0]["alg"] == "ES256"
    # Fetched a moment ago: I15 keeps the site from asking again at once.
    assert site.call(after)[0] == 401
    assert issuer.fetches() == 1
    site.set_clock_ahead(31)
    assert [site.call(token)[0] for token in (after, before)] == [200, 200]
    assert issuer.fetches() == 2
    assert issuer.fetches(METADATA) == 1


def test_a_key_that_was_published_in_advance_costs_nobody_a_refusal(start, pems):
    """How an operator rotates: appended first, moved to the front later."""
    issuer = start(Issuer, [pems["RS256"], pems["EdDSA"]])
    site = start(ApiSite, issuer.url)
    assert site.call(token_for(site, issuer))[0] == 200
    issuer.change(SIGNING_KEYS=[pems["EdDSA"], pems["RS256"]])
    assert site.call(token_for(site, issuer))[0] == 200
    assert issuer.fetches() == 1


def test_while_the_issuer_is_down_its_tokens_are_checked_with_the_keys_at_hand(site, issuer, start, pems):
    """Secure defaults: an hour fresh, an hour more while the source is down; then nobody can say, and it recovers."""
    token = token_for(site, issuer)
    assert site.call(token)[0] == 200
    issuer.stop()
    assert site.call(token)[0] == 200
    site.set_clock_ahead(3700)
    assert site.call(token)[0] == 200
    site.set_clock_ahead(7300)
    status, headers, _ = site.call(token)
    assert status == 503
    assert 0 < int(headers["Retry-After"]) <= 30
    again = start(Issuer, [pems["RS256"]], port=issuer.port)
    site.set_clock_ahead(7340)
    assert site.call(token)[0] == 200
    assert again.fetches() == 1


def test_failures_do_not_put_the_recovery_off(site, issuer, start, pems):
    """An outage with tokens of unknown keys in it: 30 s after its end, at most, a rotated key is known."""
    old = token_for(site, issuer)
    assert site.call(old)[0] == 200
    issuer.stop()
    stranger = jwt.encode(decoded(old)[1], OTHER_KEY, "RS256", {"kid": "new", "typ": "at+jwt"})
    for step in range(1, 8):
        site.set_clock_ahead(31 * step)
        assert site.call(stranger)[0] == 401
        assert site.call(old)[0] == 200
    again = start(Issuer, [pems["ES256"]], port=issuer.port)
    site.set_clock_ahead(31 * 8)
    assert site.call(token_for(site, again))[0] == 200


def test_before_the_first_answer_of_the_issuer_nobody_can_say(start, pems):
    """RFC 9110 §15.6.4: not 401, for the token may be good, and not 500."""
    port = free_port()
    site = start(ApiSite, f"http://127.0.0.1:{port}")
    token = sign(good_claims(iss=f"http://127.0.0.1:{port}", aud=site.url), header={"typ": "at+jwt"})
    status, headers, _ = site.call(token)
    assert status == 503
    assert 0 < int(headers["Retry-After"]) <= 30
    issuer = start(Issuer, [pems["RS256"]], port=port)
    site.set_clock_ahead(31)
    assert site.call(token_for(site, issuer))[0] == 200


def test_metadata_of_another_issuer_is_not_used(start, pems):
    """RFC 8414 §3.3."""
    issuer = start(Issuer, [pems["RS256"]])
    site = start(ApiSite, issuer.url)
    token = token_for(site, issuer)
    # A slash makes another issuer of it: they are compared as texts.
    issuer.change(ISSUER=f"{issuer.url}/")
    assert site.call(token)[0] == 503
    assert issuer.fetches() == 0
    issuer.change(ISSUER=issuer.url)
    site.set_clock_ahead(31)
    assert site.call(token)[0] == 200


def test_the_place_of_the_keys_may_be_configured(start, issuer):
    """For an issuer that publishes no metadata."""
    port = free_port()
    audience = f"http://127.0.0.1:{port}/api"
    configured = {"audience": [audience], "jwks_uri": f"{issuer.url}/.well-known/jwks.json"}
    site = start(ApiSite, issuer.url, port=port, RESOURCE_SERVER=configured)
    assert site.call(token_for(site, issuer))[0] == 200
    assert (issuer.fetches(), issuer.fetches(METADATA)) == (1, 0)


def test_many_strangers_keys_are_one_fetch(site, issuer):
    """I15: however many tokens name keys that nobody has, and good tokens are served meanwhile."""
    good = token_for(site, issuer)
    claims = decoded(good)[1]
    assert site.call(good)[0] == 200
    site.set_clock_ahead(31)
    strangers = [
        jwt.encode(claims, PRIVATE_KEYS["ES256"], "ES256", {"kid": f"new-{number}", "typ": "at+jwt"})
        for number in range(60)
    ]
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda token: site.call(token)[0], [*strangers, good, good]))
    assert answers == [401] * 60 + [200, 200]
    assert issuer.fetches() == 2


@pytest.mark.services
def test_processes_that_share_a_cache_fetch_once_together(start, issuer):
    """I15: across processes."""
    require_redis()
    caches = redis_caches()
    port = free_port()
    audience = {"audience": f"http://127.0.0.1:{port}/api"}
    sites = [
        start(ApiSite, issuer.url, caches=caches, port=port, RESOURCE_SERVER=audience),
        start(ApiSite, issuer.url, caches=caches, RESOURCE_SERVER=audience),
    ]
    good = token_for(sites[0], issuer)
    claims = decoded(good)[1]
    with ThreadPoolExecutor(16) as pool:
        first = list(pool.map(lambda site: site.call(good)[0], sites * 10))
        assert set(first) == {200}
        assert issuer.fetches() == issuer.fetches(METADATA) == 1
        for site in sites:
            site.set_clock_ahead(31)
        strangers = [
            jwt.encode(claims, PRIVATE_KEYS["ES256"], "ES256", {"kid": f"new-{number}", "typ": "at+jwt"})
            for number in range(100)
        ]
        answers = list(
            pool.map(lambda pair: pair[0].call(pair[1])[0], zip(sites * 50, strangers, strict=True))
        )
    assert set(answers) == {401}
    assert issuer.fetches() == 2


def test_a_cache_that_is_down_is_told_apart_from_a_bad_token(start, issuer):
    """Threat model, Operations: closed, and not a 500."""
    down = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": f"redis://127.0.0.1:{free_port()}",
        }
    }
    site = start(ApiSite, issuer.url, caches=down)
    # Throttles of Django REST framework need the cache, too: this view has none.
    started = time.monotonic()
    status, headers, _ = site.call(token_for(site, issuer), "/api/writes")
    assert status == 503
    assert int(headers["Retry-After"]) > 0
    assert time.monotonic() - started < 10


# -- third-party verifiers ---------------------------------------------------------------------------------


def test_pyjwts_client_verifies_our_tokens_through_a_rotation(start, pems):
    """Done when 4: PyJWKClient caches the key set, and recovers on its own."""
    issuer = start(Issuer, [pems["RS256"]])
    # It waits between two fetches for unknown keys, too; here the keys change faster than on any site.
    client = jwt.PyJWKClient(f"{issuer.url}/.well-known/jwks.json", lifespan=3600, cooldown_duration=0)

    def verify(token):
        key = client.get_signing_key_from_jwt(token)
        return jwt.decode(
            token,
            key,
            algorithms=["RS256", "ES256", "EdDSA"],
            audience="https://api.example",
            issuer=issuer.url,
            options={"require": ["exp", "iat", "sub", "jti", "client_id"]},
        )

    def issue():
        return issuer.token("machine", SECRET, scope="openid", resource="https://api.example")["access_token"]

    issued = [issue()]
    assert verify(issued[0])["client_id"] == "machine"
    for algorithm, before in (("ES256", "RS256"), ("EdDSA", "ES256")):
        issuer.change(
            SIGNING_KEYS=[pems[algorithm], *(public_half(pems[name]) for name in (before, "RS256"))]
        )
        issued.append(issue())
        assert decoded(issued[-1])[0]["alg"] == algorithm
        # What was signed before stays good, with the new set and without a restart.
        assert [verify(token)["sub"] for token in issued] == ["machine"] * len(issued)


# RFC 9864 has a new name for EdDSA, which few verifiers know yet.
@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
def test_joserfcs_key_set_verifies_our_tokens_through_a_rotation(start, pems):
    """Done when 4: a verifier that fetches the set again when it does not know a key."""
    issuer = start(Issuer, [pems["RS256"]])

    class Verifier:
        def __init__(self):
            self.keys, self.etag = KeySet([]), ""

        def refresh(self):
            status, headers, body = issuer.request(
                "GET", "/.well-known/jwks.json", **({"If-None-Match": self.etag} if self.etag else {})
            )
            if status == 200:
                self.keys, self.etag = KeySet.import_key_set(json.loads(body)), headers["ETag"]
            return status

        def verify(self, token):
            claims_of = joserfc_jwt.JWTClaimsRegistry(
                iss={"essential": True, "value": issuer.url},
                aud={"essential": True, "value": "https://api.example"},
                exp={"essential": True},
                client_id={"essential": True},
                jti={"essential": True},
            )
            try:
                decoded_token = joserfc_jwt.decode(token, self.keys, algorithms=["RS256", "ES256", "EdDSA"])
            except (JoseError, ValueError):
                self.refresh()
                decoded_token = joserfc_jwt.decode(token, self.keys, algorithms=["RS256", "ES256", "EdDSA"])
            assert decoded_token.header["typ"] == "at+jwt"
            claims_of.validate(decoded_token.claims)
            return decoded_token.claims

    def issue():
        return issuer.token("machine", SECRET, scope="openid", resource="https://api.example")["access_token"]

    verifier, issued = Verifier(), [issue()]
    assert verifier.verify(issued[0])["sub"] == "machine"
    assert verifier.refresh() == 304
    for algorithm in ("ES256", "EdDSA"):
        others = [public_half(pem) for name, pem in pems.items() if name != algorithm]
        issuer.change(SIGNING_KEYS=[pems[algorithm], *others])
        issued.append(issue())
        assert [verifier.verify(token)["sub"] for token in issued] == ["machine"] * len(issued)
        assert verifier.refresh() in (200, 304)


# -- tokens that are bound to a key ------------------------------------------------------------------------------


def test_i24_it_takes_a_bound_token_with_a_new_proof_of_its_key_only(start, issuer):
    """RFC 9449 §7: a site without a table of ours, whose processes share the cache."""
    require_redis()
    caches = redis_caches()
    sites = [start(ApiSite, issuer.url, caches=caches)]
    audience = {"RESOURCE_SERVER": {"issuer": issuer.url, "audience": sites[0].url}}
    sites.append(start(ApiSite, issuer.url, caches=caches, **audience))
    key, other = ProofKey(), ProofKey()
    token = token_for(sites[0], issuer, key=key)
    proof = key.proof(f"{sites[0].url}/", "GET", access_token=token)
    assert sites[0].call(token, proof=proof)[0] == 200
    # The other process is known to clients by the same URL, and has not seen the proof itself.
    for site in sites:
        status, headers, said = site.call(token, proof=proof)
        assert (status, said["error"]) == (401, "invalid_dpop_proof")
        assert headers["WWW-Authenticate"].startswith("DPoP ")
    assert sites[0].call(token)[0] == 401
    stolen = other.proof(f"{sites[0].url}/", "GET", access_token=token)
    assert sites[0].call(token, proof=stolen)[0] == 401
    fresh = key.proof(f"{sites[0].url}/writes", "GET", access_token=token)
    status, headers, _ = sites[0].call(token, "/api/writes", proof=fresh)
    assert (status, headers["WWW-Authenticate"].partition(" ")[0]) == (403, "DPoP")
    document = sites[0].call(None, "/.well-known/oauth-protected-resource/api")[2]
    assert "ES256" in document["dpop_signing_alg_values_supported"]


def test_it_wants_nonces_of_its_own(start, issuer):
    """RFC 9449 §9: from the site, not from the issuer."""
    site = start(ApiSite, issuer.url, DPOP={"nonce": "always"})
    key = ProofKey()
    token = token_for(site, issuer, key=key)
    status, headers, said = site.call(token, proof=key.proof(f"{site.url}/", "GET", access_token=token))
    assert (status, said["error"]) == (401, "use_dpop_nonce")
    proof = key.proof(f"{site.url}/", "GET", access_token=token, nonce=headers["DPoP-Nonce"])
    status, headers, _ = site.call(token, proof=proof)
    assert status == 200
    assert headers["DPoP-Nonce"]
