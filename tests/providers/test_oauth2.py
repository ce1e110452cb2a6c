"""Signing in with a provider that has no ID tokens, GitHub-style."""

from __future__ import annotations

import json

import pytest

from django_lazyauth.errors import IdentityRejected, ProviderError, ProviderUnavailable
from tests.support.legs import begin, leg, pending_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def pending(application):
    return pending_of(application)


@pytest.fixture
def hub(upstream, lazyauth):
    """Change the configuration of ``hub``."""

    def change(**config):
        lazyauth(PROVIDERS={"hub": upstream.oauth2_config(**config)})

    change()
    return change


def test_userinfo_says_who_it_is(hub, upstream, pending):
    success = leg(upstream, pending, "hub")
    identity = success.identity
    assert (identity.provider, identity.subject, identity.issuer) == ("hub", "583231", "")
    assert (identity.email, identity.email_verified, identity.name) == (
        "octo@acme.example",
        True,
        "Octo Cat",
    )
    assert identity.claims["login"] == "octo"
    assert (success.commit["subject"], success.commit["scope"]) == ("583231", "read:user user:email")


def test_no_nonce_is_sent_and_pkce_is(hub, upstream, pending):
    """I9."""
    redirect = begin(pending, "hub")
    assert "nonce" not in redirect.url
    assert "code_challenge=" in redirect.url


@pytest.mark.parametrize(
    ("emails", "email", "verified"),
    [
        ([{"email": "a@b", "verified": False, "primary": True}], "a@b", False),
        (
            [{"email": "a@b", "verified": False, "primary": True}, {"email": "c@d", "verified": True}],
            "c@d",
            True,
        ),
        ([{"email": "a@b", "verified": "true", "primary": True}], "a@b", True),
        ([{"email": "a@b", "verified": "yes", "primary": True}], "a@b", False),
        ([{"email": "a@b", "verified": 1, "primary": True}], "a@b", False),
        ({"message": "rate limited"}, "public@profile.example", False),
        ([{"email": "x" * 300, "verified": True}, 7, {}], "public@profile.example", False),
        ([], "public@profile.example", False),
    ],
)
def test_an_address_counts_as_verified_only_where_the_list_says_so(
    hub, upstream, pending, emails, email, verified
):
    """I6."""
    identity = leg(upstream, pending, "hub", emails=emails).identity
    assert (identity.email, identity.email_verified) == (email, verified)


@pytest.mark.parametrize("subject", [None, "", True, 1.5, [], {}, "x" * 256])
def test_a_person_without_a_stable_name_is_refused(hub, upstream, pending, subject):
    """I5."""
    with pytest.raises(IdentityRejected, match="sub"):
        leg(upstream, pending, "hub", user={"id": subject})


@pytest.mark.parametrize("user", [[], "x", 7, {"id": "a\0b"}])
def test_userinfo_that_is_unusable_is_refused(hub, upstream, pending, user):
    """I18."""
    with pytest.raises(ProviderError):
        leg(upstream, pending, "hub", user=user)


def test_an_odd_claim_refuses_nobody(hub, upstream, pending):
    """Spec 9: too long, of another type, NUL, 50 levels, a megabyte."""
    deep = json.loads("[" * 50 + "]" * 50)
    odd = {"id": 1, "name": "x" * 200, "bio": "\0", "deep": deep, "big": "x" * 1_000_000, "email": ["a@b", 7]}
    identity = leg(upstream, pending, "hub", user=odd, emails=[]).identity
    assert (identity.subject, identity.name, identity.email) == ("1", "x" * 128, "")
    assert not {"bio", "deep", "big"} & set(identity.claims)


def test_rules_say_where_everything_is(hub, upstream, pending):
    """As X and Notion: nested members, and the answer of the token endpoint."""
    hub(
        subject={"join": ["token:team.id", "data.id"], "with": ":", "all": True},
        claims={"email": "data.mail", "email_verified": {"value": True}, "name": ["data.name", "data.login"]},
        emails_endpoint=None,
    )
    user = {"data": {"id": 7, "mail": "ada@b", "name": 5.5, "login": "ada"}}
    identity = leg(upstream, pending, "hub", user=user, token={"team": {"id": "T"}}).identity
    assert (identity.subject, identity.email, identity.email_verified) == ("T:7", "ada@b", True)
    assert identity.name == "5.5"
    with pytest.raises(IdentityRejected, match="sub"):
        leg(upstream, pending, "hub", user=user, token={})


def test_freshness_that_cannot_be_shown_is_not_promised(hub, application):
    """OpenID Connect Core §3.1.2.1: max_age needs an auth_time."""
    with pytest.raises(ProviderUnavailable, match="freshness_unknown"):
        begin(pending_of(application, max_age=60), "hub")


def test_another_issuer_is_refused_where_ours_is_known(hub, upstream, pending):
    """RFC 9207 §2.4."""
    hub(issuer="https://hub.example")
    with pytest.raises(IdentityRejected, match="issuer_mismatch"):
        leg(upstream, pending, "hub")
    hub(issuer=upstream.issuer)
    assert leg(upstream, pending, "hub").identity.issuer == upstream.issuer
