"""Two tabs remove a way in each, at the same moment."""

from __future__ import annotations

import time

import pytest
from django.contrib.auth import get_user_model
from django.db.models.signals import post_delete

from django_lazyauth.models import ProviderIdentity
from django_lazyauth.sign_in import identities
from tests.support.processes import together

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def _slow_deletion():
    """Keep the transaction open after the deletion, as a busy site does."""

    def wait(**_kwargs):
        time.sleep(0.5)

    post_delete.connect(wait, sender=ProviderIdentity)
    yield
    post_delete.disconnect(wait, sender=ProviderIdentity)


@pytest.mark.usefixtures("_slow_deletion")
def test_of_two_unlinks_at_once_one_leaves_the_last_way_in():
    """Spec 6: a person is never locked out. Each tab sees two identities, and removes another one."""
    user = get_user_model().objects.create(username="ada")
    rows = [
        ProviderIdentity.objects.create(user=user, provider=name, subject="ada") for name in ("demo", "other")
    ]

    def unlink(pk):
        try:
            identities.unlink(user, pk)
        except identities.LastWayIn:
            return "last"
        return "unlinked"

    answers = together(lambda: unlink(rows[0].pk), lambda: unlink(rows[1].pk))
    assert sorted(answers) == ["last", "unlinked"]
    assert ProviderIdentity.objects.count() == 1
