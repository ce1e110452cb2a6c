"""Operators see rows and never a secret (I13)."""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.urls import include, path

from django_lazyauth.models import (
    Consent,
    DeferredRegistration,
    PendingAuthorization,
    ProviderIdentity,
    ProviderKeySet,
    UpstreamGrant,
    UpstreamToken,
)
from tests.support.journey import code_for, redeem

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]

urlpatterns = [path("admin/", admin.site.urls), path("", include("django_lazyauth.urls"))]


@pytest.fixture
def operator(client):
    user = get_user_model().objects.create_superuser("operator", "operator@site.example", "pw")
    client.force_login(user)
    return client


@pytest.fixture
def rows(client_):
    """One row of each kind: an exchanged flow, and one that waits for its exchange."""
    redeem(client_, code_for(client_))
    code_for(client_, subject="grace")
    ProviderKeySet.objects.create(provider="acme", issuer="https://op.example", jwks={"keys": []})


MODELS = [
    Consent,
    DeferredRegistration,
    PendingAuthorization,
    ProviderIdentity,
    ProviderKeySet,
    UpstreamGrant,
    UpstreamToken,
]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_row_can_be_listed_and_looked_at_but_not_edited(operator, rows, model):
    base = f"/admin/lazyauth/{model._meta.model_name}"
    listing = operator.get(f"{base}/")
    assert listing.status_code == 200
    row = model.objects.first()
    assert row is not None
    page = operator.get(f"{base}/{row.pk}/change/")
    assert page.status_code == 200
    assert b'name="_save"' not in page.content
    assert operator.get(f"{base}/add/").status_code == 403


def test_no_page_of_the_admin_shows_a_secret(operator, rows):
    """I13: neither in the clear nor sealed nor as a digest."""
    pending = PendingAuthorization.objects.exclude(code_digest=None).first()
    vault = UpstreamToken.objects.get()
    deferred = DeferredRegistration.objects.get()
    secrets = {
        pending.code_digest,
        pending.binding_digest,
        pending.state,
        vault.ticket,
        vault.grant.access_token,
        vault.grant.refresh_token,
        deferred.commit,
        "upstream-access-ada",
        "upstream-refresh-ada",
    }
    assert all(secrets)
    for model in MODELS:
        base = f"/admin/lazyauth/{model._meta.model_name}"
        pages = [operator.get(f"{base}/")]
        pages += [operator.get(f"{base}/{row.pk}/change/") for row in model.objects.all()]
        for page in pages:
            text = page.content.decode()
            assert not [secret for secret in secrets if secret in text]


def test_a_failed_finalize_is_shown_by_count_and_class(operator, client_):
    """Spec 1: count and error class, never its data."""
    from tests.support.providers import BelievingProvider

    def fail():
        raise RuntimeError("canary-of-the-commit")

    BelievingProvider.before_finalize.append(fail)
    redeem(client_, code_for(client_))
    page = operator.get("/admin/lazyauth/pendingauthorization/").content.decode()
    assert "RuntimeError" in page
    assert "canary" not in page
