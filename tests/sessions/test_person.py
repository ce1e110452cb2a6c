"""What is held about a person can be taken along, and all of it goes (I13, I21)."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.db.models import ProtectedError
from django.db.models.signals import pre_delete
from django.test import override_settings
from django.utils import timezone

from django_lazyauth.models import (
    Consent,
    PendingAuthorization,
    ProviderIdentity,
    Status,
    UpstreamToken,
)
from django_lazyauth.sessions import person
from django_lazyauth.toolkit.models import get_access_token_model
from tests.sessions.conftest import ada, maps, signed_in_at, trail
from tests.support.journey import code_for, redeem

__all__ = ["ada", "maps", "trail"]

pytestmark = [pytest.mark.django_db]


def user_of_ada():
    return get_user_model().objects.get(email="ada@people.example")


@pytest.fixture
def hook(settings):
    """Set one of the two hooks of the host."""

    def set_hook(name, function):
        settings.LAZYAUTH = {**settings.LAZYAUTH, name: function}

    return set_hook


def test_an_export_says_what_is_held(ada, maps):
    signed_in_at(maps)
    found = person.export_person(user_of_ada())
    assert found["account"]["email"] == "ada@people.example"
    assert [(row["provider"], row["subject"]) for row in found["ways_to_sign_in"]] == [("demo", "ada")]
    assert {row["client_id"] for row in found["sessions"]} == {ada.client.client_id, maps.client_id}
    # What the account page shows of them.
    assert all({"browser", "network", "since"} <= row.keys() for row in found["sessions"])
    assert all(row["network"] for row in found["sessions"])
    assert all({"browser", "network"} <= row.keys() for row in found["sign_ins"])
    assert {row["client_id"] for row in found["applications"]} == {ada.client.client_id, maps.client_id}
    assert {row["provider"] for row in found["connected_upstreams"]} == {"demo"}
    assert {row["status"] for row in found["sign_ins"]} == {"exchanged"}
    assert "site" not in found


def test_an_export_holds_no_secret(ada):
    """I13: neither a token of ours or of an upstream, nor a seal, a digest or a password."""
    user = user_of_ada()
    user.set_password("correct horse battery staple")
    user.save()
    text = json.dumps(person.export_person(user))
    flow, vault = PendingAuthorization.objects.get(), UpstreamToken.objects.get()
    secrets = [
        user.password,
        ada.tokens["access_token"],
        ada.tokens["refresh_token"],
        flow.code_digest,
        flow.binding_digest,
        vault.ticket,
        vault.grant.refresh_token,
        "upstream-refresh-ada",
        "upstream-access-ada",
    ]
    assert all(secrets)
    assert not [secret for secret in secrets if secret in text]


def test_the_site_adds_what_it_holds(ada, hook):
    hook("ACCOUNT_EXPORT", lambda user: {"orders": [user.date_joined]})
    [order] = person.export_person(user_of_ada())["site"]["orders"]
    assert order.startswith("20")


def test_an_export_costs_the_same_for_any_number_of_sessions(ada, maps, django_assert_num_queries):
    user = user_of_ada()
    with django_assert_num_queries(8):
        person.export_person(user)
    for _ in range(3):
        signed_in_at(maps)
    with django_assert_num_queries(8):
        person.export_person(user)


def test_nothing_of_an_erased_person_works_or_stands(ada, maps):
    """I21: sessions, codes and what could still become one."""
    grace = signed_in_at(maps, subject="grace")
    code = code_for(maps)
    erased = person.erase_person(user_of_ada())
    assert (erased.sessions, erased.identities) == (1, 1)
    assert not ada.is_alive()
    assert redeem(maps, code).json()["error"] == "invalid_grant"
    assert not get_user_model().objects.filter(email="ada@people.example").exists()
    assert not ProviderIdentity.objects.filter(subject="ada").exists()
    assert not PendingAuthorization.objects.filter(pk=ada.sid).exists()
    assert grace.is_alive()


def test_a_site_may_keep_a_row_that_says_nothing(ada, hook):
    def forget(user):
        user.username, user.email, user.is_active = f"erased-{user.pk}", "", False
        user.save()

    hook("ACCOUNT_DELETE", forget)
    user = user_of_ada()
    person.erase_person(user)
    assert get_user_model().objects.get(pk=user.pk).username == f"erased-{user.pk}"
    assert not ada.is_alive()
    for model in (ProviderIdentity, Consent, PendingAuthorization, UpstreamToken, get_access_token_model()):
        assert not model.objects.exists(), model


def test_a_site_that_leaves_an_active_user_has_erased_nobody(ada, hook):
    hook("ACCOUNT_DELETE", lambda user: None)
    with pytest.raises(person.PersonKept):
        person.erase_person(user_of_ada())
    assert ada.is_alive()


def test_rows_that_protect_a_person_are_named_and_nothing_ends(ada):
    def refuse(sender, instance, **kwargs):
        raise ProtectedError("in use", {PendingAuthorization(session_id=ada.sid)})

    pre_delete.connect(refuse, sender=get_user_model())
    try:
        with pytest.raises(person.PersonKept) as kept:
            person.erase_person(user_of_ada())
    finally:
        pre_delete.disconnect(refuse, sender=get_user_model())
    assert kept.value.holders == ("sign-ins",)
    assert ada.is_alive()


@pytest.mark.parametrize("name", ["ACCOUNT_EXPORT", "ACCOUNT_DELETE"])
def test_a_hook_that_cannot_be_imported_is_told_by_the_checks(name):
    from django.core.checks import run_checks

    from tests.settings import LAZYAUTH

    with override_settings(LAZYAUTH={**LAZYAUTH, name: "tests.nowhere.at_all"}):
        assert any(name in message.msg for message in run_checks())


def test_who_has_the_same_subject_at_another_provider_stays_in_the_log(ada):
    """Subjects are of one provider: erasing one person takes nothing of another out of the log of sign-ins (I16)."""
    client = PendingAuthorization.objects.get().client

    def refused(provider, *, at):
        failures = json.dumps([{"reason": "not_allowed", "provider": at}])
        return PendingAuthorization.objects.create(
            client=client,
            status=Status.FAILED,
            provider=provider,
            said_subject="ada",
            failures=failures,
            code_challenge="x" * 43,
            expires_at=timezone.now() + timedelta(days=1),
        )

    theirs = [refused("demo", at="demo"), refused("", at="demo")]
    of_another = [refused("other", at="other"), refused("", at="other")]
    person.erase_person(user_of_ada())
    left = set(PendingAuthorization.objects.values_list("pk", flat=True))
    assert left == {row.pk for row in of_another}
    assert not left & {row.pk for row in theirs}
