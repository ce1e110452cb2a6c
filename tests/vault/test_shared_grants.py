"""Spec 9, *One person, one identity*: providers of one namespace of accounts share the grants of one client there."""

from __future__ import annotations

import pytest

from django_lazyauth.errors import SealBroken
from django_lazyauth.models import GrantState, ProviderIdentity, UpstreamGrant, UpstreamToken
from django_lazyauth.sessions import end
from django_lazyauth.upstream.move_in import move_all
from django_lazyauth.upstream.revocations import revoke_due
from django_lazyauth.vault.reseal import reseal

from .test_cipher import vault_key
from .test_grants import in_the_old_format

pytestmark = pytest.mark.django_db

OFFLINE = {"scopes": ["openid", "profile", "email", "offline_access"], "offline": "always"}


@pytest.fixture
def configure(upstream, lazyauth):
    """Two entries of one issuer, of which the second has the accounts of the first; *keys* are the second's."""

    def put(**keys):
        first = upstream.config(**OFFLINE, revocation="token")
        lazyauth(PROVIDERS={"acme": first, "acme-files": first | {"accounts_of": "acme"} | keys})

    return put


@pytest.fixture
def signed_in(configure, session):
    """A session of the first, and one of the second that brought no refresh token."""

    def go(**keys):
        configure(**keys)
        UpstreamToken.objects.all().delete()
        UpstreamGrant.objects.all().delete()
        first = session.another()
        first.sign_in()
        second = session.another(provider="acme-files")
        second.sign_in(omit_refresh_token=True)
        session.upstream.control(omit_refresh_token=False)
        return first, second

    return go


def test_a_session_of_the_second_lives_on_the_grant_of_the_first(signed_in):
    first, second = signed_in()
    grant = UpstreamGrant.objects.get()
    assert (first.rows.get(), second.rows.get(), grant.provider) == (grant, grant, "acme")
    assert first.bundle().refresh_token == second.bundle().refresh_token != ""
    assert (first.bundle().provider, second.bundle().provider) == ("acme", "acme-files")


def test_a_refresh_is_for_both(signed_in):
    first, second = signed_in()
    first.expire()
    assert second.fresh().access_token == first.fresh().access_token
    assert len(first.refreshes()) == 1
    assert first.bundle().version == second.bundle().version


def test_the_last_of_both_revokes(signed_in):
    first, second = signed_in()
    token = first.bundle().refresh_token
    end.end_session(first.session_id)
    assert revoke_due() == 0
    assert second.bundle().refresh_token == token
    end.end_session(second.session_id)
    assert revoke_due() == 1
    [request] = first.upstream.requests("/revoke")
    assert request["form"]["token"] == token


@pytest.mark.parametrize(
    "keys",
    [
        {"client_id": "another"},
        {"accounts_of": False},
        {"token_endpoint": "https://acme.example/token"},
        {"refresh_endpoint": "https://acme.example/refresh"},
        {"grant": "session"},
    ],
)
def test_nobody_shares_where_refresh_tokens_are_not_worth_the_same(configure, session, upstream, keys):
    """Another client, other accounts, another endpoint; or the configuration says so."""
    from django_lazyauth.providers.registry import get_provider

    configure(**keys)
    terms = get_provider("acme-files").grant_terms()
    assert terms.kept_as == ("acme" if "grant" in keys else "")
    assert terms.is_standing == ("grant" not in keys)


def test_a_session_moves_from_a_dead_grant_to_the_younger_one_of_the_other(signed_in, session):
    _first, second = signed_in()
    UpstreamGrant.objects.update(state=GrantState.DEAD)
    third = session.another()
    third.sign_in()
    assert second.fresh().access_token == third.bundle().access_token
    assert second.rows.get() == third.rows.get()
    assert second.bundle().provider == "acme-files"


def test_i12_the_ticket_of_a_session_opens_nothing_at_the_other_provider(signed_in):
    first, second = signed_in()
    rows = UpstreamToken.objects.filter(session_id=second.session_id)
    stolen = UpstreamToken.objects.get(session_id=first.session_id).ticket
    rows.update(ticket=stolen)
    with pytest.raises(SealBroken):
        second.bundle()


def test_new_keys_seal_both_anew(signed_in, lazyauth):
    lazyauth(VAULT_KEYS=[vault_key("old", b"o")])
    first, second = signed_in()
    token = second.bundle().refresh_token
    lazyauth(VAULT_KEYS=[vault_key("new", b"n"), vault_key("old", b"o")])
    assert not [done.broken for done in reseal() if done.broken]
    lazyauth(VAULT_KEYS=[vault_key("new", b"n")])
    assert first.bundle().refresh_token == second.bundle().refresh_token == token


def test_a_row_of_an_earlier_release_moves_into_a_shared_grant(signed_in):
    first, second = signed_in()
    end.end_session(first.session_id)
    in_the_old_format(second)
    token = second.bundle().access_token
    assert move_all() == 1
    assert second.rows.get().provider == "acme"
    assert second.bundle().access_token == token


def test_i21_who_disconnects_the_account_leaves_what_either_provider_gave(signed_in, session):
    """Also of a provider that was only connected: the account is the same."""
    signed_in()
    identity = ProviderIdentity.objects.create(user=session.user, provider="acme", subject="person-1")
    end.end_identity(identity)
    assert not UpstreamToken.objects.exists()
    assert not UpstreamGrant.objects.exclude(state=GrantState.LEAVING).exists()
