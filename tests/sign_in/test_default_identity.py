"""A default account per person: an explicit sign-in promotes it, nothing silent does."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model
from django.db import IntegrityError, transaction

from django_lazyauth.models import ProviderIdentity
from django_lazyauth.models.fields import uuid7
from django_lazyauth.sign_in import identities
from tests.support.journey import code_for, come_back, consent, make_browser, query_of, redeem, start

pytestmark = pytest.mark.django_db


@pytest.fixture
def person(client_):
    """Ada, who registered through ``demo`` and linked an account of ``other``."""
    redeem(client_, code_for(client_))
    user = get_user_model().objects.get()
    ProviderIdentity.objects.create(user=user, provider="other", subject="ada-there")
    return user


def default_of(user):
    return next((identity.provider for identity in identities.of_user(user)), None)


def sign_in_with(client_, provider, subject):
    browser = make_browser()
    answer = come_back(
        browser, start(browser, client_, provider=provider), subject=subject, provider=provider
    )
    if not answer.headers["Location"].startswith(client_.redirect_uri):
        answer = consent(browser, answer)
    return browser, query_of(answer.headers["Location"])["code"]


def test_the_first_account_stands_for_a_person_who_never_chose(person):
    assert default_of(person) == "demo"
    assert default_of(get_user_model()(pk=0)) is None


def test_an_explicit_sign_in_promotes_its_account(person, client_):
    for provider, subject in (("other", "ada-there"), ("demo", "ada"), ("other", "ada-there")):
        sign_in_with(client_, provider, subject)
        assert default_of(person) == provider
        assert ProviderIdentity.objects.filter(is_default=True).count() == 1


def test_being_signed_in_already_and_a_refresh_promote_nothing(person, client_):
    from tests.support.journey import get, post_form

    browser, code = sign_in_with(client_, "other", "ada-there")
    tokens = redeem(client_, code).json()
    ProviderIdentity.objects.filter(provider="other").update(is_default=False)
    ProviderIdentity.objects.filter(provider="demo").update(is_default=True)
    silent = get(browser, f"/authorize?{client_.authorize_query(prompt='none')}")
    assert "code=" in silent.headers["Location"]
    post_form(
        make_browser(),
        "/token",
        {
            "grant_type": "refresh_token",
            "refresh_token": tokens["refresh_token"],
            "client_id": client_.client_id,
        },
    )
    assert default_of(person) == "demo"


def test_the_database_itself_refuses_two_defaults(person):
    with pytest.raises(IntegrityError), transaction.atomic():
        ProviderIdentity.objects.update(is_default=True)


def test_another_persons_account_is_not_touched(person, client_):
    other = get_user_model().objects.create_user("grace")
    ProviderIdentity.objects.create(user=other, provider="demo", subject=str(uuid7()), is_default=True)
    sign_in_with(client_, "other", "ada-there")
    assert default_of(other) == "demo"
    assert default_of(person) == "other"
