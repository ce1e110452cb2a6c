"""What an operator deletes has ended, or cannot be deleted; and a person with tokens can be deleted (I21)."""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.urls import include, path
from oauth2_provider.models import (
    AccessToken,
    Grant,
    IDToken,
    RefreshToken,
    get_application_model,
)

from django_lazyauth.models import (
    Consent,
    DeferredRegistration,
    LogoutDelivery,
    PendingAuthorization,
    ProviderIdentity,
    ProviderKeySet,
    UpstreamToken,
)
from tests.sessions.conftest import ada, maps, signed_in_at, trail, wants_to_hear
from tests.support.journey import code_for, redeem

__all__ = ["ada", "maps", "trail"]

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]

urlpatterns = [path("admin/", admin.site.urls), path("", include("django_lazyauth.urls"))]

OURS = "/admin/lazyauth"
DOT = "/admin/oauth2_provider"


@pytest.fixture
def operator(client):
    client.force_login(get_user_model().objects.create_superuser("operator", "operator@site.example", "pw"))
    return client


def person():
    return get_user_model().objects.get(email="ada@people.example")


@pytest.fixture(params=["one page", "the action"])
def delete(request, operator):
    """Delete rows as an operator, in both ways that the admin has."""

    def run(base, *keys):
        if request.param == "one page":
            for key in keys:
                answer = operator.post(f"{base}/{key}/delete/", {"post": "yes"})
                assert answer.status_code == 302, answer.content
            return
        form = {"action": "delete_selected", "_selected_action": [str(key) for key in keys], "post": "yes"}
        assert operator.post(f"{base}/", form).status_code == 302

    return run


def test_a_person_with_tokens_is_deleted(delete, ada, maps):
    """DOT's own admin forbids it to everybody: nobody could be erased."""
    code = code_for(maps)
    wants_to_hear(ada.client, "https://client.example/out")
    delete("/admin/auth/user", person().pk)
    assert ada.userinfo().status_code == 401
    assert ada.refresh().status_code == 400
    assert redeem(maps, code).status_code == 400
    for model in (AccessToken, RefreshToken, IDToken, UpstreamToken, ProviderIdentity, PendingAuthorization):
        assert not model.objects.exists(), model
    assert str(LogoutDelivery.objects.get().session_id) == ada.sid


def test_who_may_delete_people_needs_no_right_to_what_goes_with_them(client, ada):
    staff = get_user_model().objects.create_user("staff", is_staff=True)
    staff.user_permissions.add(*Permission.objects.filter(codename__in=["delete_user", "view_user"]))
    client.force_login(staff)
    page = client.get(f"/admin/auth/user/{person().pk}/delete/")
    assert b'type="submit"' in page.content
    assert client.post(f"/admin/auth/user/{person().pk}/delete/", {"post": "yes"}).status_code == 302
    assert not ada.is_alive()
    index = client.get("/admin/").content.decode()
    assert "lazyauth" not in index
    assert "oauth2_provider" not in index


def test_a_deleted_authorization_has_ended_its_session(delete, ada, maps):
    other = signed_in_at(maps)
    wants_to_hear(ada.client, "https://client.example/out")
    delete(f"{OURS}/pendingauthorization", ada.sid)
    assert not PendingAuthorization.objects.filter(pk=ada.sid).exists()
    assert not UpstreamToken.objects.filter(session_id=ada.sid).exists()
    assert str(LogoutDelivery.objects.get().session_id) == ada.sid
    assert not ada.is_alive()
    assert other.is_alive()


@pytest.mark.parametrize("kind", ["pendingauthorization", "deferredregistration"])
def test_a_deleted_sign_in_gives_no_session(delete, trail, kind):
    code = code_for(trail)
    pending = PendingAuthorization.objects.get()
    delete(f"{OURS}/{kind}", pending.pk)
    assert redeem(trail, code).json()["error"] == "invalid_grant"
    assert not DeferredRegistration.objects.exists()
    assert not get_user_model().objects.filter(email="ada@people.example").exists()


def test_a_deleted_consent_is_withdrawn(delete, ada, maps):
    other, code = signed_in_at(maps), code_for(ada.client)
    delete(f"{OURS}/consent", Consent.objects.get(client__client_id=ada.client.client_id).pk)
    assert not ada.is_alive()
    assert other.is_alive()
    assert redeem(ada.client, code).json()["error"] == "invalid_grant"
    assert not UpstreamToken.objects.filter(session_id=ada.sid).exists()


def test_a_deleted_identity_ends_what_was_signed_in_to_with_it(delete, ada, maps):
    grace = signed_in_at(maps, subject="grace")
    code = code_for(ada.client)
    delete(f"{OURS}/provideridentity", ProviderIdentity.objects.get(subject="ada").pk)
    assert not ada.is_alive()
    assert redeem(ada.client, code).json()["error"] == "invalid_grant"
    assert not UpstreamToken.objects.filter(user=person()).exists()
    assert grace.is_alive()


def test_a_deleted_client_has_ended(delete, ada, maps):
    other, code = signed_in_at(maps), code_for(ada.client)
    delete(f"{DOT}/application", get_application_model().objects.get(client_id=ada.client.client_id).pk)
    assert not ada.is_alive()
    assert redeem(ada.client, code).status_code == 401
    assert other.is_alive()


@pytest.mark.parametrize(
    ("base", "model"),
    [
        (f"{OURS}/providerkeyset", ProviderKeySet),
        (f"{OURS}/logoutdelivery", LogoutDelivery),
        (f"{OURS}/clientsession", PendingAuthorization),
        (f"{DOT}/accesstoken", AccessToken),
        (f"{DOT}/refreshtoken", RefreshToken),
        (f"{DOT}/idtoken", IDToken),
    ],
)
def test_what_ends_nothing_by_its_deletion_is_not_deleted(operator, ada, base, model):
    # The sign-in of the fixture may have made the row.
    ProviderKeySet.objects.update_or_create(
        provider="demo", defaults={"issuer": "https://op.example", "jwks": {"keys": []}}
    )
    client = get_application_model().objects.get()
    LogoutDelivery.objects.create(
        session_id=ada.sid, client=client, subject="1", next_attempt_at=client.created
    )
    key = model.objects.get().pk
    assert operator.get(f"{base}/{key}/change/").status_code == 200
    assert operator.post(f"{base}/{key}/delete/", {"post": "yes"}).status_code == 403
    operator.post(f"{base}/", {"action": "delete_selected", "_selected_action": [str(key)], "post": "yes"})
    assert model.objects.filter(pk=key).exists()
    assert ada.is_alive()


class TestRevokeTokens:
    """The action of DOT's lists, in ours."""

    @pytest.mark.parametrize("model", [AccessToken, RefreshToken])
    def test_it_ends_the_session(self, operator, ada, maps, model):
        other = signed_in_at(maps)
        wants_to_hear(ada.client, "https://client.example/out")
        row = model.objects.get(application__client_id=ada.client.client_id)
        self.act(operator, row)
        assert not UpstreamToken.objects.filter(session_id=ada.sid).exists()
        assert str(LogoutDelivery.objects.get().session_id) == ada.sid
        assert not ada.is_alive()
        assert other.is_alive()

    @pytest.mark.parametrize("model", [AccessToken, RefreshToken])
    def test_who_may_only_look_revokes_nothing(self, client, ada, model):
        looker = get_user_model().objects.create_user("looker", is_staff=True)
        looker.user_permissions.add(*Permission.objects.filter(codename__startswith="view_"))
        client.force_login(looker)
        self.act(client, model.objects.get())
        assert ada.is_alive()

    def test_a_token_of_no_session_is_revoked(self, operator, ada):
        row = AccessToken.objects.create(
            application=get_application_model().objects.get(),
            token="of-a-client",
            expires=AccessToken.objects.get().expires,
        )
        self.act(operator, row)
        assert not AccessToken.objects.filter(pk=row.pk).exists()
        assert ada.is_alive()

    @pytest.mark.parametrize("model", [AccessToken, RefreshToken, IDToken, Grant])
    def test_no_page_shows_a_token(self, operator, ada, model):
        """I13."""
        base = f"{DOT}/{model._meta.model_name}"
        pages = [operator.get(f"{base}/"), operator.get(f"{base}/?q=ada")]
        pages += [operator.get(f"{base}/{row.pk}/change/") for row in model.objects.all()]
        for page in pages:
            assert page.status_code == 200
            for name in ("access_token", "refresh_token"):
                assert ada.tokens[name] not in page.content.decode()

    @staticmethod
    def act(browser, row):
        url = f"{DOT}/{row._meta.model_name}/"
        form = {"action": "revoke_tokens", "_selected_action": [str(row.pk)], "confirmed": "yes"}
        browser.post(url, form)
