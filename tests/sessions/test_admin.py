"""Operators see where people are signed in, and end any of it."""

from __future__ import annotations

import pytest
from bs4 import BeautifulSoup
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.urls import include, path
from oauth2_provider.models import get_application_model

from django_lazyauth.models import ClientRegistration, LogoutDelivery, ProviderIdentity
from django_lazyauth.toolkit.clients import backchannel_logout_uri
from tests.sessions.conftest import signed_in_at, wants_to_hear

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]

urlpatterns = [path("admin/", admin.site.urls), path("", include("django_lazyauth.urls"))]

SESSIONS = "/admin/lazyauth/clientsession/"
IDENTITIES = "/admin/lazyauth/provideridentity/"


@pytest.fixture
def operator(client):
    client.force_login(get_user_model().objects.create_superuser("operator", "operator@site.example", "pw"))
    return client


def cells(page, field):
    found = BeautifulSoup(page.content, "html.parser").select(f"#result_list .field-{field}")
    return [cell.get_text(strip=True) for cell in found]


def act(operator, where, action, *keys):
    form = {"action": action, "_selected_action": [str(key) for key in keys], "confirmed": "yes"}
    return operator.post(where, form | {"reason": "because"})


def test_live_sessions_are_listed_and_others_are_not(operator, ada, maps, django_assert_max_num_queries):
    signed_in_at(maps, subject="grace")
    over = signed_in_at(maps, subject="grace")
    from django_lazyauth.sessions import end

    end.end_session(over.sid)
    with django_assert_max_num_queries(12):
        page = operator.get(SESSIONS)
    assert sorted(cells(page, "client")) == ["Maps", "Trail Journal"]
    assert set(cells(page, "provider")) == {"demo"}
    assert "–" not in cells(page, "last_used_at")
    assert ada.id_token not in page.content.decode()
    assert operator.get(f"{SESSIONS}?q={ada.sid}").status_code == 200
    assert operator.get(f"{SESSIONS}{ada.sid}/change/").status_code == 200


def test_an_operator_ends_one_session(operator, ada, maps):
    other = signed_in_at(maps)
    wants_to_hear(ada.client, "https://client.example/out")
    assert act(operator, SESSIONS, "end_sessions", ada.sid).status_code == 302
    assert not ada.is_alive()
    assert other.is_alive()
    assert str(LogoutDelivery.objects.get().session_id) == ada.sid


@pytest.mark.parametrize("where", ["sessions", "identities"])
def test_an_operator_ends_all_sessions_of_a_person(operator, ada, maps, where):
    other, grace = signed_in_at(maps), signed_in_at(maps, subject="grace")
    if where == "sessions":
        act(operator, SESSIONS, "end_all_sessions", ada.sid)
    else:
        act(operator, IDENTITIES, "end_all_sessions", ProviderIdentity.objects.get(subject="ada").pk)
    assert not ada.is_alive()
    assert not other.is_alive()
    assert grace.is_alive()


def test_who_may_only_look_ends_nothing(client, ada):
    user = get_user_model().objects.create_user("looker", is_staff=True)
    user.user_permissions.add(*Permission.objects.filter(codename__startswith="view_"))
    client.force_login(user)
    assert client.get(SESSIONS).status_code == 200
    act(client, SESSIONS, "end_sessions", ada.sid)
    act(client, IDENTITIES, "end_all_sessions", ProviderIdentity.objects.get().pk)
    assert ada.is_alive()


def test_a_session_cannot_be_deleted_in_place_of_ended(operator, ada):
    assert operator.post(f"{SESSIONS}{ada.sid}/delete/", {"post": "yes"}).status_code == 403
    act(operator, SESSIONS, "delete_selected", ada.sid)
    assert ada.is_alive()


def test_the_domain_that_vouches_for_a_person_is_shown(operator, ada):
    ProviderIdentity.objects.update(
        provider="sso:acme.example", sso_domain="acme.example", sso_name="<b>Acme"
    )
    page = operator.get(IDENTITIES)
    assert cells(page, "connected_domain") == ["acme.example (<b>Acme)"]
    assert b"<b>Acme" not in page.content


def test_deliveries_are_listed(operator, ada):
    wants_to_hear(ada.client, "https://client.example/out")
    from django_lazyauth.sessions import end

    end.end_session(ada.sid)
    page = operator.get("/admin/lazyauth/logoutdelivery/")
    assert cells(page, "state") == ["waiting"]


# -- where an operator's client wants to hear of it -----------------------------------------------------------


def change(operator, row, **values):
    url = f"/admin/oauth2_provider/application/{row.pk}/change/"
    form = {
        "name": row.name,
        "redirect_uris": row.redirect_uris,
        "client_type": row.client_type,
        "authorization_grant_type": "authorization-code",
        **values,
    }
    return operator.post(url, form)


def client_of(ada):
    return get_application_model().objects.get(client_id=ada.client.client_id)


def test_an_operator_enters_where_a_client_hears_of_logouts(operator, ada):
    uri = "https://client.example/out"
    assert change(operator, client_of(ada), backchannel_logout_uri=uri).status_code == 302
    assert backchannel_logout_uri(client_of(ada)) == uri
    assert (
        uri
        in operator.get(f"/admin/oauth2_provider/application/{client_of(ada).pk}/change/").content.decode()
    )
    change(operator, client_of(ada), backchannel_logout_uri="")
    assert backchannel_logout_uri(client_of(ada)) == ""


@pytest.mark.parametrize(
    "uri",
    ["http://client.example/", "http://127.0.0.1/", "https://", "https://client.example/#x", "x" * 3000],
)
def test_an_address_that_nothing_can_be_sent_to_is_refused(operator, ada, uri):
    page = change(operator, client_of(ada), backchannel_logout_uri=uri)
    assert page.status_code == 200
    assert backchannel_logout_uri(client_of(ada)) == ""


def test_what_a_client_registered_about_itself_an_operator_does_not_change(operator, ada):
    wants_to_hear(ada.client, "https://client.example/its-own")
    get_application_model().objects.update(registration_source="dcr")
    change(operator, client_of(ada), backchannel_logout_uri="https://client.example/another")
    assert backchannel_logout_uri(client_of(ada)) == "https://client.example/its-own"
    assert ClientRegistration.objects.count() == 1
