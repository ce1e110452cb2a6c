"""Signing in with an OpenID provider that runs as a process of its own."""

from __future__ import annotations

import json
import logging
import time
from datetime import datetime, timedelta
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from django.contrib.auth import get_user_model
from django.db import transaction
from django.test import RequestFactory
from django.utils import timezone

from django_lazyauth.errors import IdentityRejected, ProviderDenied, ProviderError, ProviderUnavailable
from django_lazyauth.kit import fetch
from django_lazyauth.models import ProviderKeySet, UpstreamToken
from django_lazyauth.providers.registry import get_provider
from django_lazyauth.vault import store as vault
from tests.support.legs import CALLBACK, STATE, begin, complete, leg, pending_of

pytestmark = pytest.mark.django_db


def query_of(url):
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def rejected(upstream, pending, **levers):
    with pytest.raises(IdentityRejected) as caught:
        leg(upstream, pending, **levers)
    return caught.value.reason


# --- Out --------------------------------------------------------------------------------------------------


def test_the_person_leaves_with_state_nonce_and_pkce(upstream, pending):
    """I9, OpenID Connect Core §3.1.2.1, RFC 7636 §4.3."""
    redirect = begin(pending)
    query = query_of(redirect.url)
    assert redirect.url.startswith(f"{upstream.issuer}/authorize?")
    assert (query["response_type"], query["client_id"], query["redirect_uri"], query["state"]) == (
        "code",
        upstream.client_id,
        CALLBACK,
        STATE,
    )
    assert (query["scope"], query["code_challenge_method"]) == ("openid profile email", "S256")
    assert query["nonce"] == redirect.private["nonce"]
    assert redirect.private["issuer"] == upstream.issuer
    assert redirect.private["code_verifier"] not in redirect.url
    json.dumps(redirect.private)


def test_each_leg_has_secrets_of_its_own(upstream, pending):
    """I9."""
    first, second = begin(pending).private, begin(pending).private
    assert first["nonce"] != second["nonce"]
    assert first["code_verifier"] != second["code_verifier"]


def test_the_clients_wishes_are_passed_on(upstream, application):
    """OpenID Connect Core §3.1.2.1; consent is asked by us, none never gets there."""
    pending = pending_of(
        application, prompt="consent login select_account", max_age=0, login_hint="a@b", ui_locales="de en"
    )
    query = query_of(begin(pending).url)
    assert (query["prompt"], query["max_age"], query["login_hint"], query["ui_locales"]) == (
        "login select_account",
        "0",
        "a@b",
        "de en",
    )
    assert "prompt" not in query_of(begin(pending_of(application, prompt="none")).url)
    assert query_of(begin(pending_of(application, prompt="create")).url)["prompt"] == "create"


def test_extra_parameters_are_added_and_the_clients_wishes_win(acme, application):
    acme(extra_authorize_params={"audience": "api", "prompt": "select_account"})
    assert query_of(begin(pending_of(application)).url)["prompt"] == "select_account"
    query = query_of(begin(pending_of(application, prompt="login")).url)
    assert (query["audience"], query["prompt"]) == ("api", "login")


def test_an_endpoint_with_a_query_keeps_it(acme, upstream, pending):
    """RFC 6749 §3.1."""
    acme(authorization_endpoint=f"{upstream.issuer}/authorize?policy=a")
    assert "?policy=a&" in begin(pending).url


def test_an_upstream_never_seen_is_unavailable_for_the_reason_of_its_last_fetch(upstream, pending):
    upstream.control(down=True)
    for _ in range(2):
        began = time.monotonic()
        with pytest.raises(ProviderUnavailable, match=r"connect|broken"):
            begin(pending)
    # The second one fetched nothing, and waited for nobody.
    assert time.monotonic() - began < 1
    assert len(upstream.requests("/.well-known/openid-configuration")) == 1


def test_a_wrong_configuration_is_unavailable_and_says_so_to_the_operator(acme, pending):
    acme(algorithms=["none"])
    with pytest.raises(ProviderUnavailable, match="misconfigured") as caught:
        begin(pending)
    assert '"algorithms"' in caught.value.debug


# --- And back ---------------------------------------------------------------------------------------------


def test_a_callback_says_who_it_is(upstream, pending):
    """OpenID Connect Core §3.1.3."""
    success = leg(upstream, pending, sub="person-7", claims={"hd": "acme.example"})
    identity = success.identity
    assert (identity.provider, identity.subject, identity.issuer) == ("acme", "person-7", upstream.issuer)
    assert (identity.email, identity.email_verified, identity.name) == (
        "person-7@acme.example",
        True,
        "Name of person-7",
    )
    assert identity.claims["hd"] == "acme.example"
    assert (success.amr, success.acr, success.user) == (("pwd", "otp"), "", None)
    assert abs(success.auth_time - timezone.now()) < timedelta(seconds=10)


def test_the_commit_holds_the_tokens_as_json(upstream, pending):
    commit = json.loads(json.dumps(leg(upstream, pending, refresh_expires_in=7200).commit))
    assert commit["access_token"].startswith("at-")
    assert commit["refresh_token"].startswith("rt-")
    assert (commit["token_type"], commit["scope"]) == ("Bearer", "openid profile email")
    assert (commit["client_id"], commit["subject"]) == (pending.client_id, "person-1")
    for name, seconds in [("expires_at", 3600), ("refresh_expires_at", 7200)]:
        left = datetime.fromisoformat(commit[name]) - timezone.now()
        assert timedelta(seconds=seconds - 10) < left <= timedelta(seconds=seconds)


def test_what_the_token_endpoint_does_not_say_is_unknown(upstream, pending):
    commit = leg(upstream, pending, expires_in=None, omit_refresh_token=True).commit
    assert (commit["expires_at"], commit["refresh_expires_at"], commit["refresh_token"]) == (None, None, "")


@pytest.mark.parametrize("value", [True, "soon", -5, 0, 10**12, [], {"a": 1}])
def test_a_lifetime_that_is_none_is_unknown(upstream, pending, value):
    """RFC 6749 §5.1."""
    assert leg(upstream, pending, expires_in=value).commit["expires_at"] is None


def test_finalize_writes_the_bundle_sealed(upstream, pending):
    """I12, I13: in the user's transaction, readable there alone."""
    commit = json.loads(json.dumps(leg(upstream, pending).commit))
    user, session_id = get_user_model().objects.create(username="u"), uuid4()
    asked = len(upstream.requests())
    with transaction.atomic():
        get_provider("acme").finalize(commit, user=user, session_id=session_id)
    assert len(upstream.requests()) == asked
    bundle = vault.get(session_id, "acme", user_id=user.pk, client_id=pending.client_id)
    assert (bundle.access_token, bundle.refresh_token, bundle.subject) == (
        commit["access_token"],
        commit["refresh_token"],
        "person-1",
    )
    assert bundle.expires_at.isoformat() == commit["expires_at"]
    assert commit["access_token"] not in str(UpstreamToken.objects.values().get())


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        ("access_denied", ProviderDenied, "cancelled"),
        ("user_cancelled_authorize", ProviderDenied, "cancelled"),
        ("login_required", ProviderDenied, "needs_interaction"),
        ("interaction_required", ProviderDenied, "needs_interaction"),
        ("consent_required", ProviderDenied, "needs_interaction"),
        ("account_selection_required", ProviderDenied, "needs_interaction"),
        ("server_error", ProviderUnavailable, "down"),
        ("temporarily_unavailable", ProviderUnavailable, "down"),
        ("unauthorized_client", ProviderUnavailable, "misconfigured"),
        ("<script>", ProviderUnavailable, "misconfigured"),
    ],
)
def test_an_upstreams_error_is_a_denial_or_an_outage(upstream, pending, error, kind, reason):
    """RFC 6749 §4.1.2.1; the upstream's words stay there (I13)."""
    with pytest.raises(kind) as caught:
        leg(upstream, pending, authorize_error=error)
    assert caught.value.reason == reason
    assert (caught.value.stage, caught.value.upstream_error) == (
        "authorization",
        error if error.isidentifier() else "",
    )
    assert upstream.requests("/token") == []


@pytest.mark.parametrize(
    "query",
    ["", "code=", "code=a&code=b", "code=" + "x" * 5000, "code=a%00b", "state=s", "code=a&error=x&error=y"],
)
def test_a_malformed_callback_asks_nobody(upstream, pending, query):
    """RFC 6749 §3.1: no parameter twice."""
    private = begin(pending).private
    with pytest.raises(ProviderError):
        complete(pending, f"{CALLBACK}?iss={upstream.issuer}&{query}", private)
    assert upstream.requests("/token") == []


def test_an_answer_of_another_issuer_is_refused_before_the_code_leaves(upstream, pending):
    """RFC 9207 §2.4: mix-up; also for errors."""
    assert rejected(upstream, pending, callback={"iss": "https://evil.example"}) == "issuer_mismatch"
    assert rejected(upstream, pending, authorize_error="access_denied") == "issuer_mismatch"
    assert upstream.requests("/token") == []


def test_an_answer_without_issuer_is_refused_where_one_was_promised(upstream, pending):
    """RFC 9207 §2.4."""
    assert rejected(upstream, pending, callback={"iss": None}) == "issuer_missing"
    ProviderKeySet.objects.all().delete()
    upstream.control(metadata={"authorization_response_iss_parameter_supported": None})
    assert leg(upstream, pending).identity.subject == "person-1"


def test_a_leg_begun_with_another_configuration_is_not_continued(upstream, pending):
    """I9."""
    redirect = begin(pending)
    with pytest.raises(ProviderUnavailable, match="configuration_changed"):
        complete(
            pending, upstream.authorize(redirect.url), {**redirect.private, "issuer": "https://old.example"}
        )
    assert upstream.requests("/token") == []


def test_a_leg_begun_without_a_nonce_is_not_continued(upstream, pending):
    """I9: its provider was of another type when the person left."""
    redirect = begin(pending)
    private = {name: value for name, value in redirect.private.items() if name != "nonce"}
    with pytest.raises(ProviderUnavailable, match="configuration_changed"):
        complete(pending, upstream.authorize(redirect.url), private)


def test_a_code_with_another_legs_verifier_is_refused_by_the_upstream(upstream, pending):
    """I9, RFC 7636 §4.6."""
    redirect, other = begin(pending), begin(pending)
    with pytest.raises(ProviderUnavailable, match="code_refused"):
        complete(pending, upstream.authorize(redirect.url), other.private)


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"nonce": "other"}, "nonce"),
        ({"nonce": None}, "nonce"),
        ({"aud": "other"}, "aud"),
        ({"iss": "https://evil.example"}, "iss"),
        ({"exp": 1}, "exp"),
        ({"iat": 1}, "too_old"),
        ({"sub": ""}, "sub"),
    ],
)
def test_an_id_token_that_fails_a_check_is_rejected_by_its_name(upstream, pending, claims, reason):
    """I9, OpenID Connect Core §3.1.3.7."""
    assert rejected(upstream, pending, claims=claims) == reason


def test_a_nonce_of_another_leg_is_refused(upstream, pending):
    """I9: an injected code brings another leg's nonce."""
    redirect, other = begin(pending), begin(pending)
    private = {**redirect.private, "nonce": other.private["nonce"]}
    with pytest.raises(IdentityRejected, match="nonce"):
        complete(pending, upstream.authorize(redirect.url), private)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("500", "bad_answer"),
        ("html", "bad_answer"),
        ("empty", "bad_answer"),
        ("invalid_grant", "code_refused"),
        ("error_200", "code_refused"),
        ("close", "unreachable"),
    ],
)
def test_a_broken_token_endpoint_is_an_outage(upstream, pending, answer, reason):
    """RFC 6749 §5.2."""
    with pytest.raises(ProviderUnavailable) as caught:
        leg(upstream, pending, token_answers=[answer])
    assert caught.value.reason == reason


def test_a_token_endpoint_that_hangs_is_an_outage(upstream, pending, monkeypatch):
    real = fetch.post_form
    monkeypatch.setattr(fetch, "post_form", lambda *a, **k: real(*a, **{**k, "deadline": 0.3}))
    with pytest.raises(ProviderUnavailable, match="unreachable"):
        leg(upstream, pending, token_answers=["hang"])


def test_no_error_holds_a_secret(upstream, pending, caplog):
    """I13: message, debug text, chain and log."""
    caplog.set_level(logging.DEBUG)
    for levers in [
        {"token_answers": ["500"]},
        {"token_answers": ["invalid_grant"]},
        {"claims": {"aud": "x"}},
    ]:
        redirect = begin(pending)
        callback = upstream.authorize(redirect.url, **levers)
        with pytest.raises(ProviderError) as caught:
            complete(pending, callback, redirect.private)
        told = f"{caught.value!r} {caught.value.debug} {caplog.text}"
        secrets = [query_of(callback)["code"], upstream.client_secret, *redirect.private.values()]
        assert not [secret for secret in secrets if secret != upstream.issuer and secret in told]
        assert caught.value.__cause__ is None


# --- Keys -------------------------------------------------------------------------------------------------


def test_rotated_keys_are_fetched_once_and_the_sign_in_goes_on(upstream, pending):
    """I15: one refresh, one retry."""
    leg(upstream, pending)
    assert leg(upstream, pending, rotate_keys=True).identity.subject == "person-1"
    assert len(upstream.requests("/jwks")) == 2


def test_an_unknown_kid_is_rejected_after_one_fetch(upstream, pending):
    """I15: at most one per 30 s."""
    leg(upstream, pending)
    for _ in range(5):
        assert rejected(upstream, pending, unpublished_key=True) == "unknown_kid"
    assert len(upstream.requests("/jwks")) == 2


def test_stored_keys_verify_while_metadata_and_keys_are_away(upstream, pending):
    """Spec: verifies while the upstream's documents are down."""
    leg(upstream, pending)
    assert leg(upstream, pending, jwks_answer="500", metadata={"issuer": "x"}).identity.subject == "person-1"


# --- Freshness --------------------------------------------------------------------------------------------


def test_an_older_sign_in_than_max_age_is_not_fresh(upstream, application):
    """OpenID Connect Core §3.1.2.1."""
    pending = pending_of(application, max_age=60)
    assert leg(upstream, pending).identity.subject == "person-1"
    assert rejected(upstream, pending, claims={"auth_time": int(time.time()) - 200}) == "not_fresh"
    assert rejected(upstream, pending, claims={"auth_time": None}) == "not_fresh"


def test_an_older_sign_in_than_prompt_login_is_not_fresh(upstream, application):
    """OpenID Connect Core §3.1.2.1."""
    pending = pending_of(application, prompt="login")
    assert rejected(upstream, pending, claims={"auth_time": int(time.time()) - 200}) == "not_fresh"
    assert leg(upstream, pending, claims={}).identity.subject == "person-1"
    assert leg(upstream, pending, claims={"auth_time": None}).auth_time is None


# --- Client authentication --------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_the_secret_goes_where_the_method_says(acme, upstream, pending, method):
    """OpenID Connect Core §9."""
    acme(token_endpoint_auth_method=method)
    leg(upstream, pending)
    request = upstream.requests("/token")[0]
    assert ("authorization" in request["headers"]) is (method == "client_secret_basic")
    assert ("client_secret" in request["form"]) is (method == "client_secret_post")


def test_an_assertion_is_signed_with_our_key(acme, upstream, pending):
    """RFC 7523 §3."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    acme(client_secret="", private_key=pem, private_key_id="k1")
    leg(upstream, pending)
    assertion = upstream.requests("/token")[0]["form"]["client_assertion"]
    claims = jwt.decode(
        assertion, key.public_key(), algorithms=["ES256"], audience=f"{upstream.issuer}/token"
    )
    assert (claims["iss"], claims["sub"]) == (upstream.client_id, upstream.client_id)
    assert claims["exp"] - claims["iat"] == 60
    assert jwt.get_unverified_header(assertion)["kid"] == "k1"


def test_a_private_key_that_is_none_is_a_wrong_configuration(acme, upstream, pending):
    acme(client_secret="", private_key="hidden-and-broken")
    with pytest.raises(ProviderUnavailable, match="misconfigured") as caught:
        leg(upstream, pending)
    assert "hidden" not in caught.value.debug


def test_an_unknown_key_is_told_as_a_wrong_set_up(acme, pending):
    acme(client_secert="hidden")
    with pytest.raises(ProviderUnavailable, match="misconfigured") as caught:
        begin(pending)
    assert caught.value.debug == 'unknown key "client_secert"; did you mean "client_secret"?'


# --- Userinfo ---------------------------------------------------------------------------------------------


MISSING = {"email": None, "email_verified": None, "name": None}


def test_userinfo_is_asked_for_what_is_missing_only(upstream, pending):
    """OpenID Connect Core §5.3.2."""
    leg(upstream, pending)
    assert upstream.requests("/userinfo") == []
    identity = leg(upstream, pending, claims=MISSING, userinfo={"given_name": "Ada"}).identity
    assert (identity.email, identity.email_verified, identity.name) == (
        "person-1@userinfo.example",
        True,
        "Info",
    )
    assert identity.claims["given_name"] == "Ada"
    assert len(upstream.requests("/userinfo")) == 1


def test_userinfo_is_not_asked_for_what_no_scope_requested(acme, upstream, pending):
    acme(scopes=["openid"])
    assert leg(upstream, pending, claims=MISSING).identity.email == ""
    assert upstream.requests("/userinfo") == []


@pytest.mark.parametrize("rule", ["userinfo:login", "login"])
def test_userinfo_is_asked_for_what_a_rule_names(acme, upstream, pending, rule):
    acme(scopes=["openid"], claims={"name": rule})
    assert leg(upstream, pending, userinfo={"login": "ada"}).identity.name == "ada"


def test_the_id_token_goes_before_userinfo(acme, upstream, pending):
    """I6: an address of one document is not verified by another."""
    acme(userinfo="always")
    identity = leg(upstream, pending, claims={"email_verified": False}).identity
    assert (identity.email, identity.email_verified) == ("person-1@acme.example", False)
    assert len(upstream.requests("/userinfo")) == 1


def test_userinfo_is_never_asked_where_the_site_says_so(acme, upstream, pending):
    acme(userinfo="never")
    assert leg(upstream, pending, claims=MISSING).identity.email == ""
    assert upstream.requests("/userinfo") == []


@pytest.mark.parametrize("userinfo", ["auto", "always"])
@pytest.mark.parametrize("sub", ["person-2", 7])
def test_userinfo_about_somebody_else_is_refused(acme, upstream, pending, sub, userinfo):
    """OpenID Connect Core §5.3.2: token substitution."""
    acme(userinfo=userinfo)
    assert rejected(upstream, pending, userinfo={"sub": sub}, claims=MISSING) == "userinfo_sub"


@pytest.mark.parametrize("sub", [None, ""])
def test_userinfo_about_nobody_is_not_used(acme, upstream, pending, sub):
    """OpenID Connect Core §5.3.2."""
    assert leg(upstream, pending, userinfo={"sub": sub}, claims=MISSING).identity.email == ""
    acme(userinfo="always")
    assert rejected(upstream, pending, userinfo={"sub": sub}, claims=MISSING) == "userinfo_sub"


def test_userinfo_that_fails_is_an_obstacle_only_where_it_must_be_asked(acme, upstream, pending, caplog):
    endpoint = {"userinfo_endpoint": f"{upstream.issuer}/nowhere"}
    acme(**endpoint)
    assert leg(upstream, pending, claims=MISSING).identity.subject == "person-1"
    assert "HTTP 404" in caplog.text
    acme(userinfo="always", **endpoint)
    with pytest.raises(ProviderUnavailable, match="bad_answer"):
        leg(upstream, pending, claims=MISSING)


ASKED = {"claims": {"email": None, "name": None}}


def test_a_signed_userinfo_is_verified_and_used(upstream, pending):
    """OpenID Connect Core §5.3.2."""
    identity = leg(upstream, pending, signed_userinfo={}, **ASKED).identity
    assert (identity.email, identity.email_verified, identity.name) == (
        "person-1@userinfo.example",
        True,
        "Info",
    )
    # Neither issuer, audience nor times need be in it.
    identity = leg(upstream, pending, signed_userinfo={"iss": None, "aud": None}, **ASKED).identity
    assert identity.name == "Info"


def test_keys_that_changed_since_the_id_token_are_fetched_for_it(upstream, pending):
    """I15: the one fetch for tokens that no stored key verifies."""
    provider = get_provider("acme")
    provider.prepare()
    upstream.control(rotate_keys=True)
    claims = provider.verify_userinfo(upstream.id_token(), issuers=[upstream.issuer])
    assert claims["sub"] == "person-1"
    assert len(upstream.requests("/jwks")) == 2


@pytest.mark.parametrize(
    ("signed", "reason"),
    [
        ({"iss": "https://other.example"}, "iss"),
        ({"aud": "another"}, "aud"),
        ({"aud": ["another"]}, "aud"),
        ({"exp": 1}, "exp"),
        ("e30.e30.", "alg"),
        ("a.b.c.d.e", "encrypted"),
        ("no jwt", "malformed"),
        ("forged", "signature"),
    ],
)
def test_a_signed_userinfo_that_fails_a_check_is_not_used(acme, upstream, pending, caplog, signed, reason):
    """It is as one that failed: fatal where it must be asked only."""
    if signed == "forged":
        signed = forged(upstream)
    identity = leg(upstream, pending, signed_userinfo=signed, **ASKED).identity
    assert (identity.email, identity.name) == ("", "")
    assert f"acme is used without UserInfo: {reason}" in caplog.text
    acme(userinfo="always")
    assert rejected(upstream, pending, signed_userinfo=signed, **ASKED) == reason


def forged(upstream):
    """A JWT with the id of a published key, signed by another."""
    key = rsa.generate_private_key(65537, 2048)
    kid = jwt.get_unverified_header(upstream.id_token())["kid"]
    return jwt.encode({"sub": "person-1", "name": "Eve"}, key, algorithm="RS256", headers={"kid": kid})


def test_a_signed_userinfo_about_somebody_else_is_refused(upstream, pending):
    """OpenID Connect Core §5.3.2."""
    signed = {"sub": "person-2"}
    assert rejected(upstream, pending, signed_userinfo=signed, **ASKED) == "userinfo_sub"


def test_an_odd_claim_refuses_nobody(upstream, pending, caplog):
    """Spec 9: too long, of another type, NUL, 50 levels, a megabyte."""
    caplog.set_level("INFO", logger="django_lazyauth.upstream")
    odd = {"email": "x" * 300, "email_verified": "yes", "name": [], "groups": json.loads("[" * 50 + "]" * 50)}
    userinfo = {"email": "\0", "name": {}, "big": "x" * 1_000_000}
    identity = leg(upstream, pending, claims=odd, userinfo=userinfo).identity
    assert (identity.subject, identity.email, identity.name) == ("person-1", "", "")
    assert not {"groups", "big"} & set(identity.claims)
    (line,) = caplog.messages
    assert "email (control)" in line
    assert "groups (deep)" in line


def test_the_subject_may_be_another_claim_of_the_token(acme, upstream, pending):
    """UserInfo still has to repeat the ``sub`` of the token."""
    acme(subject="oid", userinfo="always")
    assert leg(upstream, pending, claims={"oid": "o-1"}).identity.subject == "o-1"
    assert rejected(upstream, pending, claims={"oid": None}) == "sub"


# --- Tenants ----------------------------------------------------------------------------------------------


@pytest.fixture
def tenants(acme, upstream):
    """``acme`` has many tenants; pulls the levers for one of them."""
    acme(
        issuer=upstream.issuer + "/{tid}/v2.0",
        openid_configuration=f"{upstream.issuer}/.well-known/openid-configuration",
    )

    def levers(tenant, **claims):
        issuer = f"{upstream.issuer}/{tenant}/v2.0"
        return {
            "metadata": {"issuer": upstream.issuer + "/{tenantid}/v2.0"},
            "claims": {"iss": issuer, "tid": tenant, **claims},
            "callback": {"iss": issuer},
        }

    upstream.control(metadata={"issuer": upstream.issuer + "/{tenantid}/v2.0"})
    return levers


def test_the_same_subject_in_two_tenants_is_two_people(upstream, pending, tenants):
    """I19, I5."""
    first = leg(upstream, pending, **tenants("tenant-a")).identity
    second = leg(upstream, pending, **tenants("tenant-b")).identity
    assert (first.subject, second.subject) == ("tenant-a:person-1", "tenant-b:person-1")
    assert first.issuer != second.issuer


def test_a_tenant_cannot_yield_anothers_subject(upstream, pending, tenants):
    """I19."""
    assert rejected(upstream, pending, **tenants("tenant-a", tid="tenant-b")) == "iss"
    assert rejected(upstream, pending, **tenants("tenant-a", tid=None)) == "tenant"
    mixed = tenants("tenant-a") | {"callback": {"iss": f"{upstream.issuer}/tenant-b/v2.0"}}
    assert rejected(upstream, pending, **mixed) == "issuer_mismatch"
    elsewhere = tenants("tenant-a") | {"callback": {"iss": f"{upstream.issuer}/a/b/v2.0"}}
    assert rejected(upstream, pending, **elsewhere) == "issuer_mismatch"


def test_a_subject_that_its_tenant_makes_too_long_is_refused(upstream, pending, tenants):
    assert rejected(upstream, pending, **tenants("tenant-a", sub="x" * 250)) == "sub"


def test_complete_writes_nothing(upstream, pending, django_assert_num_queries):
    """The provider contract: complete reads its keys once and leaves writing to finalize."""
    redirect = begin(pending)
    request = RequestFactory().get(upstream.authorize(redirect.url))
    provider = get_provider("acme")
    with django_assert_num_queries(1):
        provider.complete(request, pending, redirect.private)
