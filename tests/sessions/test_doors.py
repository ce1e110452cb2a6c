"""What ends, ends what could still become it, by whichever door it was ended (I21)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.db import transaction
from django.utils import timezone
from oauth2_provider.models import (
    AccessToken,
    IDToken,
    RefreshToken,
    get_application_model,
    revoke_access_token,
)

from django_lazyauth.clients import operator_actions
from django_lazyauth.models import (
    DeferredRegistration,
    LogoutDelivery,
    PendingAuthorization,
    ProviderIdentity,
    Status,
    UpstreamToken,
)
from django_lazyauth.models.fields import digest, uuid7
from django_lazyauth.sessions import end
from django_lazyauth.sign_in import identities
from tests.sessions.conftest import signed_in_at, wants_to_hear
from tests.support.journey import (
    code_for,
    come_back,
    consent,
    get,
    make_browser,
    query_of,
    redeem,
    sign_in,
    start,
    submit,
)

pytestmark = pytest.mark.django_db


def person():
    return get_user_model().objects.get(email="ada@people.example")


def second_way_in():
    """Let ada have another identity, so that the first may go."""
    return ProviderIdentity.objects.create(user=person(), provider="other", subject="ada-there")


def code_by_other(browser, client):
    """Sign ada in with her other identity."""
    page = come_back(browser, start(browser, client, provider="other"), subject="ada-there", provider="other")
    return query_of(consent(browser, page).headers["Location"])["code"]


def unlink():
    identities.unlink(person(), ProviderIdentity.objects.get(provider="demo", subject="ada").pk)


def unlink_by_sql():
    """What a host's code does: nothing of ours hears of it."""
    ProviderIdentity.objects.filter(provider="demo", subject="ada").delete()


UNLINKS = pytest.mark.parametrize("how", [unlink, unlink_by_sql])


# -- an identity ------------------------------------------------------------------------------------------------


class TestUnlink:
    @UNLINKS
    def test_a_code_by_that_identity_is_not_redeemed(self, ada, how):
        second_way_in()
        code = code_for(ada.client)
        vault = set(UpstreamToken.objects.values_list("session_id", flat=True))
        how()
        assert redeem(ada.client, code).json()["error"] == "invalid_grant"
        assert set(UpstreamToken.objects.values_list("session_id", flat=True)) <= vault

    @UNLINKS
    def test_a_flow_by_that_identity_gets_no_code(self, ada, maps, how):
        second_way_in()
        browser = make_browser()
        page = get(browser, come_back(browser, start(browser, maps), subject="ada").headers["Location"])
        how()
        answer = submit(browser, page, decision="allow")
        assert "code=" not in answer.headers.get("Location", "")
        assert not PendingAuthorization.objects.filter(status=Status.CODE_ISSUED).exists()

    def test_nothing_of_such_a_flow_is_kept(self, ada):
        second_way_in()
        code_for(ada.client)
        unlink()
        assert not DeferredRegistration.objects.exists()
        assert not UpstreamToken.objects.exists()

    @UNLINKS
    def test_a_browser_that_it_signed_in_is_signed_out(self, ada, how):
        second_way_in()
        browser = make_browser()
        come_back(browser, start(browser, ada.client), subject="ada")
        assert get(browser, "/account/sessions").status_code == 200
        how()
        assert get(browser, "/sessions").status_code == 403
        assert get(browser, "/account/sessions").status_code == 303
        assert "_auth_user_id" not in browser.session

    def test_a_browser_whose_registration_it_was_is_not_resumed(self, ada):
        second_way_in()
        unlink()
        assert get(ada.browser, "/account/sessions").status_code == 303

    def test_a_browser_that_another_identity_signed_in_goes_on(self, ada, maps):
        second_way_in()
        browser = make_browser()
        code = code_by_other(browser, maps)
        unlink()
        assert get(browser, "/account/sessions").status_code == 200
        assert redeem(maps, code).status_code == 200

    def test_a_session_that_it_began_ends_and_another_goes_on(self, ada, maps):
        second_way_in()
        other = redeem(maps, code_by_other(make_browser(), maps)).json()
        unlink()
        assert not ada.is_alive()
        headers = {"authorization": f"Bearer {other['access_token']}"}
        assert get(make_browser(), "/userinfo", headers=headers).status_code == 200

    def test_a_flow_of_a_browser_that_it_signed_in_gets_no_session(self, ada):
        """The flow asked no provider: the browser's sign-in answered it."""
        second_way_in()
        browser = make_browser()
        come_back(browser, start(browser, ada.client), subject="ada")
        answer = get(browser, f"/authorize?{ada.client.authorize_query()}")
        code = query_of(answer.headers["Location"])["code"]
        unlink()
        assert redeem(ada.client, code).json()["error"] == "invalid_grant"


# -- a person ---------------------------------------------------------------------------------------------------


class TestPerson:
    def test_a_second_flow_of_somebody_who_was_not_written_yet_ends_too(self, trail):
        """Threat model, ending: a deferred person's second flow."""
        first, second = code_for(trail), code_for(trail)
        assert redeem(trail, first).status_code == 200
        end.end_all_sessions(person())
        assert not DeferredRegistration.objects.exists()
        assert redeem(trail, second).json()["error"] == "invalid_grant"

    def test_who_is_deleted_does_not_come_back_by_a_code(self, trail):
        first, second = code_for(trail), code_for(trail)
        redeem(trail, first)
        person().delete()
        assert redeem(trail, second).json()["error"] == "invalid_grant"
        assert not get_user_model().objects.exists()

    def test_a_flow_that_adds_an_account_ends(self, ada):
        client = get_application_model().objects.get()
        row = PendingAuthorization.objects.create(
            client=client,
            code_challenge="c",
            link_to=person(),
            binding_digest=digest("x"),
            expires_at=timezone.now() + timedelta(minutes=5),
        )
        end.end_all_sessions(person())
        row.refresh_from_db()
        assert row.status == Status.FAILED

    def test_nobody_elses_flow_ends(self, ada, maps):
        code = code_for(maps, subject="grace")
        end.end_all_sessions(person())
        assert redeem(maps, code).status_code == 200

    def test_a_flow_of_somebody_deactivated_by_sql_gets_no_code(self, ada, maps):
        browser = make_browser()
        page = get(browser, come_back(browser, start(browser, maps), subject="ada").headers["Location"])
        get_user_model().objects.update(is_active=False)
        answer = submit(browser, page, decision="allow")
        assert "code=" not in answer.headers.get("Location", "")

    def test_a_code_of_somebody_deactivated_by_sql_is_not_redeemed(self, ada, lazyauth):
        """Nothing of ours heard of it, so the code stands: the exchange looks at the person."""
        lazyauth(REGISTRATION="immediate")
        code = code_for(ada.client)
        assert not DeferredRegistration.objects.exists(), "nothing that looks at the person once more"
        get_user_model().objects.update(is_active=False)
        assert redeem(ada.client, code).json()["error"] == "invalid_grant"

    def test_many_people_are_deleted_at_once(self, ada, maps):
        grace = signed_in_at(maps, subject="grace")
        get_user_model().objects.all().delete()
        assert not ada.is_alive()
        assert not grace.is_alive()
        assert not PendingAuthorization.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_what_is_issued_until_a_deactivation_commits_ends_after_it(ada, maps):
    """The admin deactivates in a transaction. Others see an active user until it commits."""
    user = person()
    with transaction.atomic():
        user.is_active = False
        user.save()
        # What another process does meanwhile.
        RefreshToken.objects.create(
            user=user,
            application=get_application_model().objects.get(client_id=maps.client_id),
            token="issued-meanwhile",
            token_family=uuid7(),
        )
    assert not RefreshToken.objects.filter(revoked__isnull=True).exists()


# -- a client, a provider -----------------------------------------------------------------------------------------


class TestClient:
    def disable(self, client):
        operator_actions.disable([get_application_model().objects.get(client_id=client.client_id).pk])

    def enable(self, client):
        operator_actions.enable([get_application_model().objects.get(client_id=client.client_id).pk])

    def test_a_code_does_not_outlive_that_its_client_was_disabled(self, ada):
        code = code_for(ada.client)
        self.disable(ada.client)
        self.enable(ada.client)
        assert redeem(ada.client, code).json()["error"] == "invalid_grant"
        assert not DeferredRegistration.objects.exists()
        assert ada.is_alive(), "its sessions stand for the day when it is enabled"

    def test_nobody_is_written_for_a_disabled_client(self, trail, lazyauth):
        lazyauth(REGISTRATION="immediate")
        browser = make_browser()
        upstream = start(browser, trail)
        self.disable(trail)
        come_back(browser, upstream, subject="ada")
        assert not get_user_model().objects.exists()


@pytest.mark.parametrize("how", ["disabled", "removed"])
@pytest.mark.parametrize("mode", ["lazy", "immediate"])
def test_i21_a_flow_by_a_provider_that_is_off_gets_no_code(trail, lazyauth, mode, how):
    """The person came back from it before. They may allow the client when it is on again, with a new sign-in."""
    lazyauth(REGISTRATION=mode)
    browser = make_browser()
    page = get(browser, come_back(browser, start(browser, trail), subject="ada").headers["Location"])
    turn_off(lazyauth, how)
    answer = submit(browser, page, decision="allow")
    assert "code=" not in answer.headers.get("Location", "")
    assert PendingAuthorization.objects.get().status == Status.FAILED
    assert not DeferredRegistration.objects.exists()


def turn_off(lazyauth, how):
    config = {"class": "tests.support.providers.BelievingProvider", "enabled": False}
    lazyauth(PROVIDERS={"demo": config} if how == "disabled" else {})


@pytest.mark.parametrize("how", ["disabled", "removed"])
def test_a_code_of_a_known_person_by_a_provider_that_is_off_is_not_redeemed(ada, lazyauth, how):
    lazyauth(REGISTRATION="immediate")
    code = code_for(ada.client)
    assert not DeferredRegistration.objects.exists(), "nothing that waits for the provider"
    turn_off(lazyauth, how)
    assert redeem(ada.client, code).json()["error"] == "invalid_grant"


# -- tokens, by the hand of others ----------------------------------------------------------------------------------


def revoke_refresh(live):
    live.revoke()


def revoke_access(live):
    revoke_access_token(live.access_token)


def save_revoked(live):
    live.revoked = timezone.now()
    live.save()


def save_column(live):
    live.revoked = timezone.now()
    live.save(update_fields=["revoked"])


def delete_row(live):
    live.delete()


def delete_rows(live):
    RefreshToken.objects.filter(pk=live.pk).delete()


def revoke_family(live):
    RefreshToken.revoke_family(live.token_family)


def delete_access(live):
    live.access_token.delete()


def delete_access_rows(live):
    AccessToken.objects.filter(user=live.user, application=live.application).delete()


def delete_id_tokens(live):
    """Their access tokens go with them."""
    IDToken.objects.filter(user=live.user, application=live.application).delete()


REVOKES = [revoke_refresh, revoke_access, save_revoked, save_column, revoke_family]
DELETES = [delete_row, delete_rows, delete_access, delete_access_rows, delete_id_tokens]


class TestTokens:
    @pytest.mark.parametrize("how", [*REVOKES, *DELETES])
    @pytest.mark.parametrize("refreshed", [False, True])
    def test_who_revokes_the_token_of_a_session_ends_it(self, ada, maps, how, refreshed):
        """DOT's views, its admin and a host's code."""
        other = signed_in_at(maps)
        wants_to_hear(ada.client, "https://client.example/out")
        if refreshed:
            assert ada.refresh().status_code == 200
        how(RefreshToken.objects.get(token_family=ada.sid, revoked__isnull=True))
        assert not UpstreamToken.objects.filter(session_id=ada.sid).exists()
        assert str(LogoutDelivery.objects.get().session_id) == ada.sid
        assert not ada.is_alive()
        assert other.is_alive()

    def test_who_saves_a_spent_token_ends_nothing(self, ada):
        ada.refresh()
        RefreshToken.objects.get(token_family=ada.sid, revoked__isnull=False).save()
        assert ada.is_alive()

    def test_who_deletes_a_spent_or_idle_token_ends_nothing(self, ada):
        ada.refresh()
        RefreshToken.objects.filter(revoked__isnull=False).delete()
        assert ada.is_alive()
        live = RefreshToken.objects.get(revoked__isnull=True)
        RefreshToken.objects.filter(pk=live.pk).update(created=timezone.now() - timedelta(days=400))
        RefreshToken.objects.filter(pk=live.pk).delete()
        assert UpstreamToken.objects.exists()

    def test_an_exchange_and_a_refresh_ask_nothing_more_for_it(self, ada, django_assert_num_queries):
        live = RefreshToken.objects.get()
        with django_assert_num_queries(1):
            live.save(update_fields=["updated"])
        assert AccessToken.objects.count() == 1


def test_sign_in_again_after_a_deletion_is_a_new_person(ada):
    person().delete()
    location = sign_in(make_browser(), ada.client)
    assert redeem(ada.client, query_of(location)["code"]).status_code == 200
    assert get_user_model().objects.count() == 1
