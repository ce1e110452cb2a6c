"""Whom operators find by what they type."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model

from django_lazyauth.models import ProviderIdentity
from django_lazyauth.users.people import People, find_people

pytestmark = pytest.mark.django_db

ADDRESS = "ada@people.example"


def person(name, own_address="", **account):
    user = get_user_model().objects.create_user(name, email=own_address)
    if account:
        ProviderIdentity.objects.create(user=user, provider="demo", subject=name, **account)
    return user


def test_the_owner_of_an_address_is_found_beside_who_claims_it_at_a_provider():
    """I6: nobody hides a person from operators by their address at a provider."""
    ada = person("ada", "Ada@people.example")
    mallory = person("mallory", "m@people.example", email=ADDRESS, email_verified=False)
    assert set(find_people(ADDRESS).users) == {ada.pk, mallory.pk}


def test_a_user_with_the_address_is_found_without_a_look_through_all_users(django_assert_num_queries):
    """The user model of a site may have no index for addresses."""
    ada = person("ada", ADDRESS, email=ADDRESS)
    with django_assert_num_queries(2):
        assert find_people(ADDRESS).users == (ada.pk,)


@pytest.mark.parametrize("term", ["", " "], ids=["empty", "blank"])
def test_nothing_names_nobody(term):
    """Accounts without an address have an empty one."""
    person("ada", email="")
    assert find_people(term) == People((), (), ())
