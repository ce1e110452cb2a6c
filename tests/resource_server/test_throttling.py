"""Issue 16: throttles that count a client, and a person through a client."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from oauth2_provider.models import get_application_model

from django_lazyauth.openid.access_token import AccessToken
from django_lazyauth.resource_server.principal import Principal
from django_lazyauth.resource_server.throttling import ClientThrottle, ClientUserThrottle
from django_lazyauth.tokens.bearer import Bearer


@pytest.fixture(autouse=True)
def rates(monkeypatch):
    """Two requests a minute."""
    both = {"lazyauth-client": "2/min", "lazyauth-client-user": "2/min"}
    monkeypatch.setattr(ClientThrottle, "THROTTLE_RATES", both)


def caller(client_id: str, pk: int):
    """A request that LazyAuthAuthentication took."""
    user, client = get_user_model()(pk=pk), get_application_model()(client_id=client_id)
    return SimpleNamespace(auth=Bearer(None, user, client, frozenset()), user=user)


def allows(throttle, request) -> bool:
    return throttle().allow_request(request, None)


def test_the_people_of_one_client_are_counted_together():
    assert [allows(ClientThrottle, caller("app", user)) for user in (1, 2, 3)] == [True, True, False]
    assert allows(ClientThrottle, caller("other", 1))


def test_each_person_is_counted_by_themselves_at_each_client():
    assert [allows(ClientUserThrottle, caller("app", 1)) for _ in range(3)] == [True, True, False]
    assert allows(ClientUserThrottle, caller("app", 2))
    assert allows(ClientUserThrottle, caller("other", 1))


@pytest.mark.parametrize("throttle", [ClientThrottle, ClientUserThrottle])
def test_a_request_without_a_token_is_not_counted(throttle):
    anonymous = SimpleNamespace(auth=None, user=AnonymousUser())
    assert [allows(throttle, anonymous) for _ in range(5)] == [True] * 5


def test_a_token_of_another_issuer_is_counted_by_what_it_says():
    """On a site that has no users of the issuer."""
    now = datetime.now(UTC)
    token = AccessToken("https://a.example", "ada", "app", ("api",), frozenset(), now, now, "1", None, {})
    request = SimpleNamespace(auth=token, user=Principal(token))
    assert [allows(ClientThrottle, request) for _ in range(3)] == [True, True, False]
