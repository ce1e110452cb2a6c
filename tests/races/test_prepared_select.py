"""A row that somebody changed while another waited for it: what is joined to it is whole, or read anew."""

from __future__ import annotations

from functools import partial

import pytest
from django.contrib.auth import get_user_model
from django.db import transaction

from django_lazyauth.models.locked_code import lock_code
from tests.support.journey import code_for, redeem
from tests.support.processes import together, until
from tests.support.providers import BelievingProvider

FIELDS = get_user_model()._meta.concrete_fields

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]


def test_a_redemption_that_waited_sees_the_person_whom_the_first_one_wrote(client_, waiting):
    """PostgreSQL joins before it waits, and looks at the locked row again after it: the person was not there yet."""
    code = code_for(client_)
    inside = []

    def wait_for_the_second():
        inside.append(True)
        until(lambda: waiting() == 1)

    def come_second():
        until(lambda: inside)
        with transaction.atomic():
            pending = lock_code(code).pending
            return pending.user_id, {field.attname: getattr(pending.user, field.attname) for field in FIELDS}

    BelievingProvider.before_finalize.append(wait_for_the_second)
    first, (user_id, seen) = together(partial(redeem, client_, code), come_second)
    assert first.status_code == 200
    user = get_user_model().objects.get()
    assert user_id == user.pk
    assert seen == {field.attname: getattr(user, field.attname) for field in FIELDS}
