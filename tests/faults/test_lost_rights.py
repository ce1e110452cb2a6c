"""I21: whoever loses a right between two steps gets nothing by the next, and is told the true reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import transaction
from oauth2_provider.models import AccessToken, IDToken, RefreshToken, get_application_model

from django_lazyauth.clients import operator_actions
from django_lazyauth.models import Consent, ProviderIdentity, TokenFacts, UpstreamToken
from django_lazyauth.sessions import end
from django_lazyauth.sign_in import identities
from tests.conftest import CONFIDENTIAL_SECRET, register
from tests.support import id_jags
from tests.support.delegation import API, TOOL, confidential
from tests.support.devices import DEVICE_CODE
from tests.support.journey import OAuthClient, redeem
from tests.support.recorded import code_for

from . import invariants
from .rights import (
    CLIENT,
    PERSON,
    THERE,
    Stage,
    code_flow,
    device_flow,
    id_jag_flow,
    outcome_of,
    owner,
    registered_flow,
    row,
)

pytestmark = [pytest.mark.django_db, pytest.mark.slow]


# -- what happens between two steps --------------------------------------------------------------------------------


def nothing(client_id: str) -> None: ...


def disabled(client_id: str) -> None:
    operator_actions.disable([row(client_id).pk])


def deleted(client_id: str) -> None:
    operator_actions.delete([row(client_id).pk])


def loses_its_grants(client_id: str) -> None:
    _change(client_id, authorization_grant_type="implicit")


def loses_its_redirect_uri(client_id: str) -> None:
    _change(client_id, redirect_uris="https://elsewhere.example/cb")


def gets_a_new_secret(client_id: str) -> None:
    operator_actions.new_secret(row(client_id).pk)


def _change(client_id: str, **fields: str) -> None:
    get_application_model().objects.filter(client_id=client_id).update(**fields)


def deactivated(client_id: str) -> None:
    user = owner()
    user.is_active = False
    user.save()


def deactivated_by_sql(client_id: str) -> None:
    get_user_model().objects.filter(pk=owner().pk).update(is_active=False)


def person_deleted(client_id: str) -> None:
    owner().delete()


def unlinked(client_id: str) -> None:
    identities.unlink(owner(), ProviderIdentity.objects.get(provider="demo", subject=PERSON).pk)


def signed_out_everywhere(client_id: str) -> None:
    end.end_all_sessions(owner())


def withdrawn(client_id: str) -> None:
    end.withdraw(owner(), row(client_id))


def provider_removed(client_id: str) -> None:
    others = {name: value for name, value in settings.LAZYAUTH["PROVIDERS"].items() if name != "demo"}
    settings.LAZYAUTH = settings.LAZYAUTH | {"PROVIDERS": others}


#: What can be tried → what comes of it. What is not named goes on, and issues nothing.
Outcomes = Mapping[str, str]


def come_to(outcome: str, *names: str) -> Outcomes:
    return dict.fromkeys(names, outcome)


CODE = ("consent", "allow")
REDEEM = ("redeem", "public redeem", "poll")
REFRESH = ("retry", "refresh", "public refresh", "poll again")
ID_JAG = ("id_jag", "id_jag of refresh")
BEARER = ("userinfo", "read", "replace", "delete")
WORKS: Outcomes = {
    **come_to("code", *CODE),
    **come_to("token", *REDEEM, *REFRESH, *ID_JAG, "exchange", "upstream", "bring"),
    "poll while waiting": "authorization_pending",
}
CLIENT_GONE: Outcomes = {
    **come_to("refused", *CODE, "choose", "follow", "callback", "allow device"),
    **come_to("invalid_client", *REDEEM, *REFRESH, *ID_JAG, "bring", "poll while waiting"),
    **come_to("invalid_token", *BEARER),
    "introspect": "inactive",
    "exchange": "invalid_request",
    "upstream": "401",
}
SESSION_GONE: Outcomes = {
    **WORKS,
    **come_to("refused", "allow", "allow device"),
    **come_to("invalid_grant", *REDEEM, *REFRESH),
    **come_to("invalid_request", *ID_JAG, "exchange"),
    "userinfo": "invalid_token",
    "introspect": "inactive",
    "upstream": "401",
}
DEACTIVATED = SESSION_GONE | {"consent": "refused", "callback": "access_denied", "bring": "invalid_grant"}
EVENTS: Mapping[Callable[[str], None], Outcomes] = {
    nothing: WORKS,
    disabled: CLIENT_GONE,
    deleted: CLIENT_GONE,
    loses_its_grants: {
        **WORKS,
        **come_to("refused", *CODE, "choose", "allow device"),
        **come_to("unauthorized_client", *REDEEM, *REFRESH, "follow", "poll while waiting"),
    },
    loses_its_redirect_uri: {
        **WORKS,
        **come_to("refused", *CODE, "choose", "follow"),
        **come_to("invalid_grant", "redeem", "public redeem"),
    },
    gets_a_new_secret: {
        **WORKS,
        **come_to("invalid_client", "redeem", "refresh", "retry", "bring", *ID_JAG),
    },
    deactivated: DEACTIVATED,
    deactivated_by_sql: DEACTIVATED,
    person_deleted: SESSION_GONE | {"consent": "refused"},
    unlinked: SESSION_GONE,
    signed_out_everywhere: SESSION_GONE,
    withdrawn: SESSION_GONE,
    # Sessions of its people go on. Their tokens of the provider are handed to nobody.
    provider_removed: {
        **WORKS,
        **come_to("refused", "allow", "allow device"),
        **come_to("invalid_grant", *REDEEM),
        "upstream": "upstream_not_renewable",
    },
}
#: What the product writes here says nothing of these: the second identity is made by hand, and no key is used.
PROMISES = [
    promise for promise in invariants.PROMISES if promise.__name__[:3] not in ("i6_", "i12", "i13", "i24")
]

ROWS = (
    get_user_model(),
    ProviderIdentity,
    Consent,
    AccessToken,
    RefreshToken,
    IDToken,
    UpstreamToken,
    TokenFacts,
)


class _Undone(Exception):
    """Rolls back."""


@contextmanager
def undone() -> Iterator[None]:
    """Undo what is done inside, as the test itself is undone. The settings too."""
    kept, block = settings.LAZYAUTH, transaction.atomic()
    # Endpoints insist on transactions of their own. Private: Django's test cases have it.
    block._from_testcase = True
    try:
        with block:
            yield
            raise _Undone
    except _Undone:
        pass
    finally:
        settings.LAZYAUTH = kept


def counted() -> list[int]:
    return [model._base_manager.count() for model in ROWS]


@pytest.fixture
def _site(lazyauth):
    lazyauth(
        DEVICE_FLOW=True,
        UPSTREAM_TOKEN_CLIENTS={CLIENT: ["demo"]},
        INTROSPECTION_CLIENTS={"tool": [TOOL, API], CLIENT: [API]},
        TOKEN_EXCHANGE={"tool": {"audiences": [API], "scopes": ["profile", "email"]}},
        ID_JAG_AUDIENCES={
            THERE: {"clients": {CLIENT: "there"}, "scopes": ["notes"], "resources": [f"{THERE}/mcp"]}
        },
    )
    secret = {
        "client_type": "confidential",
        "client_secret": CONFIDENTIAL_SECRET,
        "hash_client_secret": False,
    }
    register(client_id=CLIENT, **secret)
    confidential("tool")
    register(client_id="television", authorization_grant_type=DEVICE_CODE, redirect_uris="")
    register(client_id="known-by")
    known_by = OAuthClient("known-by")
    assert redeem(known_by, code_for(known_by, subject=PERSON)).status_code == 200
    # So that the first may be unlinked.
    ProviderIdentity.objects.create(user=owner(), provider="other", subject="ada-there")


def assert_nothing_is_got(flow: Iterator[Stage], *, spared: Sequence[Callable[[str], None]] = ()) -> None:
    """Let each thing happen before each step of *flow*, try the step, and undo both. Then take the step."""
    for stage, client_id, attempts in flow:
        works = {name: WORKS.get(name, "on") for name in attempts}
        for event in [one for one in EVENTS if one not in spared]:
            expected = {name: EVENTS[event].get(name, "on") for name in attempts}
            if event is not nothing and expected == works:
                continue
            at = (stage, event.__name__)
            with undone():
                event(client_id)
                before = counted()
                assert {name: outcome_of(attempt()) for name, attempt in attempts.items()} == expected, at
                issues = event is nothing or {"token", "code"} & set(expected.values())
                grown = [now > was for was, now in zip(before, counted(), strict=True)]
                assert issues or not any(grown), at
                assert [promise.__name__ for promise in PROMISES if not promise()] == [], at


@pytest.mark.usefixtures("_site")
@pytest.mark.parametrize("flow", [code_flow, device_flow, registered_flow])
def test_i21_who_loses_a_right_between_two_steps_gets_nothing_by_the_next(flow):
    """Threat model, ending. Each step of each flow × what happens before it; nothing is half-written either."""
    assert_nothing_is_got(flow())


@pytest.mark.usefixtures("_site")
def test_i21_an_assertion_gets_nothing_where_its_client_or_its_person_may_not_any_more(
    upstream, lazyauth, settings
):
    """Spec 8.5. A person who was deleted before is a new one by the word of their organisation."""
    ways = settings.LAZYAUTH["PROVIDERS"]
    id_jags.trust(upstream, lazyauth)
    lazyauth(PROVIDERS=ways | settings.LAZYAUTH["PROVIDERS"], INTROSPECTION_CLIENTS={CLIENT: [id_jags.API]})
    ProviderIdentity.objects.create(user=owner(), provider="acme", subject=PERSON)
    # It is another way in that these two are about.
    assert_nothing_is_got(id_jag_flow(upstream), spared=(unlinked, provider_removed))
