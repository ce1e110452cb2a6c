"""Identities under a protocol's name: the person is the same user under the provider's (I5)."""

from __future__ import annotations

import pytest

from django_lazyauth.models import ProviderIdentity
from django_lazyauth.models.fields import digest
from django_lazyauth.sign_in import identities
from tests.conftest import register

from .conftest import CORP, OTHER
from .rows import make_identity, make_legacy, make_user, migrate

pytestmark = pytest.mark.django_db


def links() -> set[tuple[str, str, str]]:
    return set(ProviderIdentity.objects.values_list("provider", "subject", "user__username"))


def test_the_twin_points_to_the_same_user_and_says_the_same():
    old = make_identity(make_user(), issuer=CORP["issuer"], email_verified=True, name="Ada")
    ran = migrate()
    assert (ran.status, ran.report["identities"]) == (0, {"added": 1, "existed": 0, "pruned": 0})
    new = ProviderIdentity.objects.get(provider="corp")
    for name in ("user_id", "subject", "issuer", "email", "email_verified", "name"):
        assert getattr(new, name) == getattr(old, name)
    assert ProviderIdentity.objects.filter(pk=old.pk).exists()


def test_a_twin_that_is_there_is_left_alone():
    ada = make_user()
    make_identity(ada)
    make_identity(ada, "corp", email="newer@people.example")
    assert migrate().report["identities"] == {"added": 0, "existed": 1, "pruned": 0}
    assert ProviderIdentity.objects.get(provider="corp").email == "newer@people.example"


def test_a_twin_of_somebody_else_is_never_taken():
    """I5: a (provider, subject) belongs to one user for ever."""
    old = make_identity(make_user("ada"), subject="same")
    make_identity(make_user("eve"), "corp", subject="same")
    ran = migrate("--prune")
    assert (ran.status, ran.report["problems"]) == (
        1,
        [{"key": digest(f"identity:{old.pk}"), "reason": "identity_of_another_user"}],
    )
    assert links() == {("oidc", "same", "ada"), ("corp", "same", "eve")}


def test_an_identity_of_another_issuer_is_somebody_else():
    """I19: two providers wrote ``oidc``; the subject of one is nobody at the other."""
    make_identity(make_user("ada"), issuer=CORP["issuer"])
    make_identity(make_user("bob"), issuer=OTHER["issuer"])
    ran = migrate()
    assert (ran.status, ran.report["reasons"]) == (1, {"issuer_differs": 1})
    assert ("corp", "sub-of-bob", "bob") not in links()
    assert ("corp", "sub-of-ada", "ada") in links()


def test_only_the_type_of_the_named_provider_becomes_its_name(lazyauth):
    lazyauth(PROVIDERS={"corp": CORP, "other": OTHER})
    ada = make_user()
    make_identity(ada)
    make_identity(ada, "oauth2", subject="77")
    ran = migrate("--provider", "other")
    # No provider speaks plain OAuth 2 here: those people are nobody's yet.
    assert ran.report["reasons"] == {"no_provider_of_this_type": 1}
    assert links() == {
        ("oidc", "sub-of-ada", "ada"),
        ("oauth2", "77", "ada"),
        ("other", "sub-of-ada", "ada"),
    }


def test_each_type_becomes_the_name_of_its_own_provider():
    ada = make_user()
    make_identity(ada, subject="1")
    make_identity(ada, "oauth2", subject="2")
    make_identity(ada, "github", subject="3")
    assert migrate().status == 0
    assert links() - {("oidc", "1", "ada"), ("oauth2", "2", "ada"), ("github", "3", "ada")} == {
        ("corp", "1", "ada"),
        ("github", "2", "ada"),
    }


def test_where_two_providers_could_be_meant_nothing_is_written(lazyauth):
    lazyauth(PROVIDERS={"corp": CORP, "other": OTHER})
    make_identity(make_user())
    ran = migrate()
    assert (ran.status, ran.report["reasons"]) == (1, {"name_the_provider": 1})
    assert len(links()) == 1


def test_the_people_of_somebody_inactive_are_linked_and_still_cannot_sign_in():
    make_identity(make_user("gone", is_active=False))
    assert migrate().status == 0
    assert not ProviderIdentity.objects.get(provider="corp").user.is_active


def test_pruning_deletes_what_has_its_twin_and_nothing_else():
    ada, bob = make_user("ada"), make_user("bob")
    make_identity(ada)
    make_identity(bob, issuer=OTHER["issuer"])
    make_identity(ada, "github", subject="3")
    ran = migrate("--prune")
    assert ran.report["identities"]["pruned"] == 1
    assert links() == {
        ("corp", "sub-of-ada", "ada"),
        ("oidc", "sub-of-bob", "bob"),
        ("github", "3", "ada"),
    }


def test_the_account_that_stood_for_the_person_still_does_after_pruning():
    ada = make_user()
    make_identity(ada, "github", subject="3")
    make_identity(ada, is_default=True)
    migrate()
    assert identities.of_user(ada)[0].provider == "oidc"
    migrate("--prune")
    assert identities.of_user(ada)[0].provider == "corp"


def test_a_dry_run_writes_and_prunes_nothing():
    make_identity(make_user("ada"))
    ran = migrate("--dry-run", "--prune")
    assert ran.report["identities"]["added"] == 1
    assert len(links()) == 1
    migrate()
    assert migrate("--dry-run", "--prune").report["identities"]["pruned"] == 1
    assert len(links()) == 2


def test_many_people_in_small_batches_and_a_limit():
    for number in range(11):
        make_identity(make_user(f"user{number}"))
    assert migrate("--limit", "4", "--batch-size", "3").report["identities"]["added"] == 4
    assert migrate("--batch-size", "3").report["identities"] == {"added": 7, "existed": 4, "pruned": 0}
    assert migrate("--prune", "--batch-size", "3").report["identities"]["pruned"] == 11


def test_who_signs_in_after_the_migration_is_the_same_user(lazyauth, application):
    """Subject continuity through the real pages: no second user appears."""
    from django.contrib.auth import get_user_model

    from tests.support.journey import OAuthClient, code_for, redeem

    lazyauth(
        PROVIDERS={
            "demo": {"class": "tests.support.providers.BelievingProvider", "display_name": "Demo"},
            "github": {"preset": "github", "client_id": "us", "client_secret": "s" * 32},
        }
    )
    ada = make_user()
    make_identity(ada, subject="ada")
    make_legacy(ada, application, subject="ada")
    assert migrate().status == 0
    client = OAuthClient(register(client_id="another").client_id)
    assert redeem(client, code_for(client, subject="ada")).status_code == 200
    assert get_user_model().objects.get() == ada
