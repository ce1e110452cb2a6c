"""Many assertions at once for one person who is new: one user, and each assertion is good once (I5, I25)."""

from __future__ import annotations

from collections import Counter
from functools import partial

import pytest
from django.contrib.auth import get_user_model
from oauth2_provider.models import AccessToken

from django_lazyauth.models import PendingAuthorization, ProviderIdentity
from tests.support.delegation import confidential
from tests.support.id_jags import POLICY, assertion, bring, trust
from tests.support.processes import together

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

AT_ONCE = 20


@pytest.fixture
def idp(upstream, lazyauth):
    trust(upstream, lazyauth)
    confidential("other")
    lazyauth(PROVIDERS={"acme": upstream.config(id_jag=POLICY | {"clients": ["agent", "other"]})})
    # Its keys are known: nobody waits for them.
    assert bring(assertion(upstream, sub="first")).status_code == 200
    return upstream


def rows():
    models = (get_user_model(), ProviderIdentity, PendingAuthorization, AccessToken)
    return [model.objects.count() for model in models]


def test_i25_of_copies_of_an_assertion_at_once_one_is_taken(idp):
    """Spec 8.5: the digest of the session is unique, so of two one is written."""
    text = assertion(idp)
    answers = together(*[partial(bring, text) for _ in range(AT_ONCE)])
    assert Counter(answer.status_code for answer in answers) == {200: 1, 400: AT_ONCE - 1}
    assert rows() == [2, 2, 2, 2]


def test_i5_of_assertions_of_two_clients_for_one_new_person_one_user_is_written(idp):
    """All are good, and all are about the same person."""
    calls = [
        partial(bring, assertion(idp, client_id=client_id), client_id=client_id)
        for client_id in ("agent", "other") * (AT_ONCE // 2)
    ]
    answers = Counter(answer.status_code for answer in together(*calls))
    assert answers == {200: AT_ONCE}
    assert rows() == [2, 2, AT_ONCE + 1, AT_ONCE + 1]
