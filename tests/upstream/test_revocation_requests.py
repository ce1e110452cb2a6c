"""Spec 9, ``revocation_request``: revocations that are none of RFC 7009, at a provider process that answers."""

from __future__ import annotations

import base64
from datetime import timedelta
from urllib.parse import quote_plus

import pytest
from django.utils import timezone

from django_lazyauth.models import GrantState, UpstreamGrant
from django_lazyauth.openid.descriptor import DescriptorError, descriptor_from_settings
from django_lazyauth.openid.presets import PRESETS
from django_lazyauth.providers.registry import get_provider
from django_lazyauth.sessions import end
from django_lazyauth.upstream.revocations import revoke_due
from tests.vault.conftest import session  # noqa: F401

from .test_revocations import due_now

pytestmark = pytest.mark.django_db

WAITING = UpstreamGrant.objects.filter(state=GrantState.LEAVING)


@pytest.fixture
def configure(lazyauth, session):  # noqa: F811 - the fixture
    """Give the provider keys, and let the session sign in anew; without a refresh token unless *renews*."""

    def put(*, renews=False, expires_in=None, **keys):
        entry = session.upstream.oauth2_config(**keys)
        lazyauth(PROVIDERS={"acme": entry})
        session.sign_in(omit_refresh_token=not renews, expires_in=expires_in)
        session.upstream.control(omit_refresh_token=False, expires_in=3600)
        return session

    return put


def preset(upstream, name):
    """Return how the preset *name* revokes, at our provider process."""
    entry = PRESETS[name].entry
    path = "/revoke" + ("?app={client_id}" if "{client_id}" in entry["revocation_endpoint"] else "")
    return {
        "revocation_endpoint": f"{upstream.issuer}{path}",
        "revocation_request": entry.get("revocation_request"),
        "revocation": entry.get("revocation"),
        "client_id_parameter": entry.get("client_id_parameter"),
    }


def asked(one) -> dict:
    [request] = one.upstream.requests("/revoke")
    return request


def basic(one) -> str:
    # RFC 6749 §2.3.1. What GitHub and Notion give has no character that this changes.
    pair = f"{quote_plus(one.upstream.client_id)}:{quote_plus(one.upstream.client_secret)}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


SHAPES = {
    # name: (method, how this site authenticates, form or JSON)
    "github": ("DELETE", "basic", {"access_token": "{token}"}),
    "notion": ("POST", "basic", {"token": "{token}"}),
    "slack": ("POST", "bearer", {}),
    "dropbox": ("POST", "bearer", {}),
    "facebook": ("DELETE", "bearer", {}),
    "line": ("POST", "form", {"access_token": "{token}", "client_id": "{id}", "client_secret": "{secret}"}),
    "strava": ("POST", "form", {"access_token": "{token}", "client_id": "{id}", "client_secret": "{secret}"}),
    "twitch": ("POST", "form", {"token": "{token}", "client_id": "{id}", "client_secret": "{secret}"}),
    "tiktok": ("POST", "form", {"token": "{token}", "client_key": "{id}", "client_secret": "{secret}"}),
}


@pytest.mark.parametrize("name", SHAPES)
def test_the_person_who_leaves_revokes_in_the_way_of_the_preset(configure, session, name):  # noqa: F811 - the fixture
    """None of them gave a refresh token: GitHub's OAuth apps and Slack give none."""
    one = configure(**preset(session.upstream, name) | {"client_id_parameter": None})
    token = one.bundle().access_token
    keys = preset(one.upstream, name)
    one = configure_again(one, keys)
    end.withdraw(one.user, one.application)
    assert WAITING.count() == 1
    assert revoke_due() == 1
    assert not UpstreamGrant.objects.exists()
    method, how, form = SHAPES[name]
    request = asked(one)
    values = {"token": token, "id": one.upstream.client_id, "secret": one.upstream.client_secret}
    assert (request["method"], request["form"]) == (
        method,
        {key: value.format(**values) for key, value in form.items()},
    )
    headers = {"basic": basic(one), "bearer": f"Bearer {token}", "form": None}
    assert request["headers"].get("authorization") == headers[how]
    kind = "application/json" if how == "basic" else "application/x-www-form-urlencoded" if form else None
    assert request["headers"].get("content-type") == kind
    assert request["query"] == ({"app": one.upstream.client_id} if name == "github" else {})


def configure_again(one, keys):
    """Change the keys after the sign-in, as our provider process has other names of parameters."""
    from django.conf import settings

    settings.LAZYAUTH = {**settings.LAZYAUTH, "PROVIDERS": {"acme": one.upstream.oauth2_config(**keys)}}
    return one


def test_a_sign_out_revokes_nothing_that_has_no_refresh_token(configure, session):  # noqa: F811 - the fixture
    one = configure(**preset(session.upstream, "github") | {"revocation": "token"})
    end.end_session(one.session_id)
    assert not UpstreamGrant.objects.exists()
    assert (revoke_due(), one.upstream.requests("/revoke")) == (0, [])


def test_an_access_token_alone_is_never_named_as_rfc_7009_does(configure, session):  # noqa: F811 - the fixture
    """It ends by itself."""
    one = configure(revocation_endpoint=f"{session.upstream.issuer}/revoke")
    end.withdraw(one.user, one.application)
    assert (revoke_due(), one.upstream.requests("/revoke")) == (1, [])
    assert not UpstreamGrant.objects.exists()


def test_a_last_sign_out_of_kind_token_revokes_by_the_access_token(configure, session):  # noqa: F811 - the fixture
    one = configure(renews=True, **preset(session.upstream, "slack") | {"revocation": "token"})
    token = one.bundle().access_token
    end.end_session(one.session_id)
    assert revoke_due() == 1
    assert asked(one)["headers"]["authorization"] == f"Bearer {token}"
    assert one.refreshes() == []


# -- an access token that has expired ---------------------------------------------------------------------------------


@pytest.fixture
def expired(configure, session):  # noqa: F811 - the fixture
    """Dropbox: access tokens of four hours, and a refresh token that does not end."""
    one = configure(renews=True, **preset(session.upstream, "dropbox"))
    one.expire()
    end.withdraw(one.user, one.application)
    return one


def test_an_access_token_that_has_expired_is_renewed_first(expired):
    assert revoke_due() == 1
    [_] = expired.refreshes()
    assert asked(expired)["headers"]["authorization"].startswith("Bearer at-")
    assert not UpstreamGrant.objects.exists()


def test_what_was_renewed_is_kept_sealed_for_the_next_attempt(expired, monkeypatch):
    """A refresh token is spent once."""
    from django_lazyauth.errors import ProviderUnavailable
    from django_lazyauth.providers.code_flow import CodeFlow

    revoke = CodeFlow.revoke

    def down(self, bundle):
        raise ProviderUnavailable("down")

    monkeypatch.setattr(CodeFlow, "revoke", down)
    before = WAITING.get().refresh_token
    assert revoke_due() == 0
    after = WAITING.get()
    assert after.refresh_token != before
    assert "at-" not in after.access_token
    assert after.expires_at > timezone.now()
    monkeypatch.setattr(CodeFlow, "revoke", revoke)
    due_now()
    assert revoke_due() == 1
    assert len(expired.refreshes()) == 1


def test_a_refresh_token_that_is_refused_revokes_nothing_and_the_grant_goes(expired, caplog):
    expired.upstream.control(token_answers=["invalid_grant"])
    with caplog.at_level("INFO"):
        assert revoke_due() == 1
    assert not UpstreamGrant.objects.exists()
    assert expired.upstream.requests("/revoke") == []
    assert caplog.records[-1].outcome == "refresh_refused"


def test_without_a_refresh_token_an_expired_one_is_sent_as_it_is(configure, session):  # noqa: F811 - the fixture
    """Nothing else is known of that grant, and some providers take it."""
    one = configure(expires_in=3600, **preset(session.upstream, "github"))
    UpstreamGrant.objects.update(expires_at=timezone.now() - timedelta(hours=1))
    end.withdraw(one.user, one.application)
    assert revoke_due() == 1
    assert asked(one)["form"]["access_token"].startswith("at-")


# -- the key ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "hint"),
    [
        ({"method": "PUT"}, '"revocation_request": "method" must be one of POST, DELETE'),
        ({"token": "cookie:a"}, '"revocation_request": "token" must be'),
        ({"tokn": "bearer"}, 'did you mean "token"'),
        ({"token": "bearer", "auth": "client"}, "leaves no place for"),
        ({"token": "form:a", "body": {"b": "c"}}, "leaves no form for"),
        ({"body": {"a": "{code}"}}, "may hold no placeholder but"),
    ],
)
def test_the_check_names_what_is_wrong(upstream, request_, hint):
    with pytest.raises(DescriptorError, match=hint):
        descriptor_from_settings("acme", upstream.oauth2_config(revocation_request=request_))


def test_i13_the_tokens_of_a_revocation_stand_in_no_log_and_no_repr(configure, session, caplog):  # noqa: F811 - the fixture
    one = configure(renews=True, **preset(session.upstream, "slack") | {"revocation": "token"})
    token = one.bundle().access_token
    end.end_session(one.session_id)
    assert token not in repr(WAITING.values().get())
    revoke_due()
    assert token not in caplog.text
    assert "slack" not in repr(get_provider("acme"))
