"""A table without an index on what expires is looked through in parts."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model

from django_lazyauth.upkeep import walk as walking
from django_lazyauth.upkeep.walk import walk

pytestmark = pytest.mark.django_db

User = get_user_model()


@pytest.fixture
def people():
    return User.objects.bulk_create(User(username=f"person-{number:03}") for number in range(100))


def sizes_of_pages(handle, **kwargs):
    sizes = []

    def recorded(page):
        sizes.append(page.within.count())
        return handle(page)

    walk(User, recorded, size=10, **kwargs)
    return sizes


def delete(page):
    return page.within.delete()[0]


def test_pages_grow_where_most_rows_have_expired(people):
    """Each page costs a commit, so a backlog takes few of them."""
    assert sizes_of_pages(delete) == [10, 40, 50]
    assert not User.objects.exists()


def test_pages_grow_up_to_a_bound(people, monkeypatch):
    """A transaction stays short."""
    monkeypatch.setattr(walking, "LARGEST_PAGE", 20)
    assert sizes_of_pages(delete) == [10, 20, 20, 20, 20, 10]


def test_pages_grow_in_a_run_that_what_has_expired_keeps_going(people):
    """Rows between them are passed as quickly."""
    keys = [person.pk for person in people[:3]]

    def delete_some(page):
        return page.within.filter(pk__in=keys).delete()[0]

    assert sizes_of_pages(delete_some, patience=10) == [10, 40]


def test_pages_stay_small_where_few_rows_have_expired(people):
    def delete_one(page):
        keys = page.within.order_by("pk").values_list("pk", flat=True)[:1]
        return page.within.filter(pk__in=list(keys)).delete()[0]

    assert max(sizes_of_pages(delete_one)) == 10
    assert User.objects.count() == 90
