"""What staff put into addresses and forms of the admin: nothing fails (I18), and no secret is guessed (I13)."""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.urls import include, path

from django_lazyauth.admin.large import SoundInput
from django_lazyauth.models import PendingAuthorization
from django_lazyauth.toolkit.models import get_access_token_model, get_application_model
from tests.sessions.conftest import ada, maps, trail

__all__ = ["ada", "maps", "trail"]

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]

urlpatterns = [path("admin/", admin.site.urls), path("", include("django_lazyauth.urls"))]

OURS = {
    f"/admin/{model._meta.app_label}/{model._meta.model_name}/": row
    for model, row in admin.site._registry.items()
    if isinstance(row, SoundInput)
}
LISTS = sorted(OURS)


@pytest.fixture
def root(client):
    client.force_login(get_user_model().objects.create_superuser("root", "root@example.org", "x"))
    return client


def test_every_list_of_ours_is_one_of_them():
    named = ("django_lazyauth", "oauth2_provider")
    ours = [row for row in admin.site._registry.values() if type(row).__module__.startswith(named)]
    assert len(LISTS) == len(ours) > 12


@pytest.mark.parametrize("where", LISTS)
def test_a_list_refuses_what_no_database_can_look_up(root, ada, where):
    """I18. PostgreSQL has no NUL in a text, and no letter in the key of a row."""
    if where.endswith("/overview/"):
        return
    names = ["q", "provider__exact", "status__exact", "state__exact", "grant__exact"]
    for name in names:
        assert root.get(where, {name: "\0"}).status_code in (302, 400)
    assert root.get(f"{where}%00/change/").status_code in (302, 404)
    request = root.get(where).wsgi_request
    for act in OURS[where].get_actions(request):
        key = "\0" if OURS[where].opts.pk.get_internal_type() == "CharField" else "x"
        assert root.post(where, {"action": act, "_selected_action": [key]}).status_code == 400


def test_a_reason_that_cannot_be_stored_is_refused(root, ada):
    """I18."""
    url = f"/admin/lazyauth/clientsession/{ada.sid}/act/end_sessions/"
    assert root.post(url, {"confirmed": "yes", "reason": "a\0b"}).status_code == 400
    assert ada.is_alive()


@pytest.mark.parametrize(
    ("where", "lookup"),
    [
        ("/admin/lazyauth/pendingauthorization/", "code_digest__startswith"),
        ("/admin/lazyauth/pendingauthorization/", "binding_digest__regex"),
        ("/admin/lazyauth/clientsession/", "private__contains"),
        ("/admin/lazyauth/deviceauthorization/", "user_digest__startswith"),
        ("/admin/lazyauth/initialaccesstoken/", "digest__startswith"),
        ("/admin/lazyauth/upstreamgrant/", "refresh_token__contains"),
        ("/admin/oauth2_provider/accesstoken/", "token__startswith"),
        ("/admin/oauth2_provider/refreshtoken/", "token_checksum__startswith"),
        ("/admin/oauth2_provider/application/", "client_secret__startswith"),
    ],
)
def test_a_hidden_column_is_not_guessed_by_filters(client, ada, where, lookup):
    """I13: who may look at a list could find a secret, one letter at a time, by the rows that stay."""
    looker = get_user_model().objects.create_user("looker", is_staff=True)
    looker.user_permissions.add(*Permission.objects.filter(codename__startswith="view_"))
    client.force_login(looker)
    OURS[where].model._meta.get_field(lookup.partition("__")[0])
    assert client.get(where, {lookup: "a"}).status_code == 400


def test_lists_are_filtered_by_what_they_show(root, ada):
    user = get_user_model().objects.get(email="ada@people.example")
    application = get_application_model().objects.get(client_id=ada.client.client_id)
    assert PendingAuthorization.objects.exists()
    assert get_access_token_model().objects.exists()
    for where in ("/admin/lazyauth/pendingauthorization/", "/admin/oauth2_provider/accesstoken/"):
        page = root.get(where, {"user__id__exact": user.pk})
        assert page.status_code == 200
        assert 'class="action-select"' in page.content.decode()
    found = root.get("/admin/oauth2_provider/application/", {"name__startswith": application.name})
    assert found.status_code == 200
