"""OpenID Connect Back-Channel Logout 1.0: a real second site hears of it, later if it is down, once if it can be."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, connections, transaction
from django.db.models.functions import Now
from django.utils import timezone
from oauth2_provider.models import get_application_model

from django_lazyauth.models import DeliveryState, LogoutDelivery
from django_lazyauth.sessions import backchannel, end, logout_queue
from django_lazyauth.upkeep.sweep import sweep
from tests.sessions.conftest import signed_in_at, wants_to_hear
from tests.support.journey import get, make_browser, post_form
from tests.support.second_site import EVENT, SecondSite

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def here(live_server, settings):
    """This site, listening, so that others can fetch its keys."""
    settings.LAZYAUTH = {
        **settings.LAZYAUTH,
        "ISSUER": live_server.url,
        "ALLOW_LOOPBACK_UPSTREAMS": True,
        "BACKCHANNEL_LOGOUT_PAUSE": 0.2,
        "BACKCHANNEL_LOGOUT_TIMEOUT": 2,
    }
    return live_server.url


@pytest.fixture
def second_site(here, trail):
    site = SecondSite(here, trail.client_id).start()
    wants_to_hear(trail, site.uri)
    yield site
    site.stop()


@pytest.fixture
def by_hand(monkeypatch):
    """Nobody is woken: the test decides who tries, and when."""
    woken = []
    monkeypatch.setattr(logout_queue, "send", woken.append)
    return woken


@pytest.fixture
def ada(second_site, trail):
    return signed_in_at(trail)


def wait_for(condition, seconds=15):
    ends_at = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends_at, list(LogoutDelivery.objects.values())
        time.sleep(0.05)


def is_state(state):
    return lambda: LogoutDelivery.objects.filter(state=state).exists()


def make_due():
    LogoutDelivery.objects.waiting().update(next_attempt_at=Now() - timedelta(seconds=1))


# -- what is told ---------------------------------------------------------------------------------------------


def test_the_second_site_hears_it_and_can_check_it(ada, second_site, trail):
    """§2.4, §2.5, §2.6: done when 5."""
    before = int(time.time())
    end.end_session(UUID(ada.sid))
    wait_for(is_state("delivered"))
    (heard,) = second_site.heard()
    assert "error" not in heard
    assert heard["type"] == "application/x-www-form-urlencoded"
    claims = heard["claims"]
    assert set(claims) == {"iss", "sub", "aud", "iat", "exp", "jti", "events", "sid"}
    assert claims["events"] == {EVENT: {}}
    assert (claims["sid"], claims["aud"]) == (ada.sid, trail.client_id)
    assert before <= claims["iat"] <= time.time()
    assert claims["exp"] - claims["iat"] == 120
    assert claims["sub"] == str(ada_of(ada).pk)
    assert heard["header"]["typ"] == "logout+jwt"


def ada_of(signed_in):
    from django.contrib.auth import get_user_model

    return get_user_model().objects.get()


def revoke_refresh_token(ada):
    form = {"token": ada.tokens["refresh_token"], "client_id": ada.client.client_id}
    post_form(make_browser(), "/revoke_token", form)


def revoke_access_token(ada):
    form = {"token": ada.tokens["access_token"], "client_id": ada.client.client_id}
    post_form(make_browser(), "/revoke_token", form)


def replay_a_refresh_token(ada):
    old = ada.tokens
    assert ada.refresh().status_code == 200
    from oauth2_provider.models import RefreshToken

    # Past any grace for retries.
    RefreshToken.objects.filter(revoked__isnull=False).update(revoked=timezone.now() - timedelta(minutes=5))
    ada.tokens = old
    assert ada.refresh().status_code == 400


def log_out(ada):
    get(ada.browser, f"/logout?id_token_hint={ada.id_token}")


def deactivate(ada):
    user = ada_of(ada)
    user.is_active = False
    user.save()


def deactivate_behind_our_back(ada):
    type(ada_of(ada)).objects.update(is_active=False)
    assert not LogoutDelivery.objects.exists()
    list(sweep())


WAYS = {
    "RFC 7009": revoke_refresh_token,
    "RFC 7009, by an access token": revoke_access_token,
    "a replay": replay_a_refresh_token,
    "RP-initiated logout": log_out,
    "deactivation": deactivate,
    "deactivation by SQL": deactivate_behind_our_back,
    "deletion": lambda ada: ada_of(ada).delete(),
    "all of a person's": lambda ada: end.end_all_sessions(ada_of(ada)),
    "consent withdrawn": lambda ada: end.withdraw(
        ada_of(ada), get_application_model().objects.get(client_id=ada.client.client_id)
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_however_a_session_ends_its_client_hears_of_it_once(ada, by_hand, way):
    """Spec 6: revocation, the account page, the admin, logout, deactivation."""
    WAYS[way](ada)
    delivery = LogoutDelivery.objects.get()
    assert (str(delivery.session_id), delivery.state) == (ada.sid, "waiting")
    assert by_hand == [ada.sid]
    assert ada.userinfo().status_code == 401
    end.end_session(UUID(ada.sid))
    assert LogoutDelivery.objects.count() == 1


def test_a_client_that_did_not_ask_hears_nothing(here, maps, by_hand):
    elsewhere = signed_in_at(maps)
    end.end_session(UUID(elsewhere.sid))
    assert not LogoutDelivery.objects.exists()
    assert by_hand == []


def test_what_never_was_a_session_is_told_to_nobody(ada, by_hand):
    assert end.end_session(uuid4()) is False
    assert not LogoutDelivery.objects.exists()


def test_a_session_that_did_not_end_is_told_to_nobody(ada, by_hand):
    """The row is of the transaction that ended the session: rolled back together."""
    with transaction.atomic():
        end.end_session(UUID(ada.sid))
        assert LogoutDelivery.objects.exists()
        transaction.set_rollback(True)
    assert not LogoutDelivery.objects.exists()
    assert by_hand == []
    assert ada.is_alive()


# -- while the other site fails -----------------------------------------------------------------------------


def test_it_is_told_again_while_the_other_site_is_down(ada, second_site):
    """Done when 5: by the thread of the web process, without anybody asking."""
    second_site.stop()
    end.end_session(UUID(ada.sid))
    wait_for(lambda: LogoutDelivery.objects.get().attempts >= 2)
    row = LogoutDelivery.objects.get()
    assert (row.state, row.last_error) == ("waiting", "connect")
    second_site.start()
    wait_for(is_state("delivered"))
    (heard,) = second_site.heard()
    assert heard["claims"]["sid"] == ada.sid


def test_each_try_carries_a_token_of_its_own(ada, second_site, by_hand):
    """A token lives two minutes; a retry an hour later needs another."""
    second_site.answers(status=500)
    end.end_session(UUID(ada.sid))
    backchannel.deliver_due()
    make_due()
    second_site.answers(status=200)
    backchannel.deliver_due()
    assert LogoutDelivery.objects.get().state == "delivered"
    assert len(second_site.heard()) == 2


@pytest.mark.parametrize("status", [301, 401, 404, 429, 500, 501, 503])
def test_after_so_many_tries_it_gives_up_as_configured(ada, second_site, by_hand, lazyauth, caplog, status):
    lazyauth(BACKCHANNEL_LOGOUT_ATTEMPTS=3)
    second_site.answers(status=status)
    end.end_session(UUID(ada.sid))
    for attempt in range(1, 4):
        make_due()
        assert backchannel.deliver_due() == 1
        assert LogoutDelivery.objects.get().attempts == attempt
    row = LogoutDelivery.objects.get()
    assert (row.state, row.last_error, row.next_attempt_at) == ("given_up", str(status), None)
    make_due()
    assert backchannel.deliver_due() == 0
    assert len(second_site.heard()) == 3
    assert "trail" in caplog.text
    assert second_site.uri not in caplog.text


def test_a_client_that_refuses_the_token_is_not_asked_again(ada, second_site, by_hand):
    """§2.8: 400 says that the request was invalid, and it would be the same the next time."""
    second_site.answers(status=400)
    end.end_session(UUID(ada.sid))
    backchannel.deliver_due()
    row = LogoutDelivery.objects.get()
    assert (row.state, row.attempts) == ("refused", 1)
    assert backchannel.deliver_due() == 0


@pytest.mark.parametrize("status", [200, 204])
def test_ok_and_no_content_are_success(ada, second_site, by_hand, status):
    """§2.8."""
    second_site.answers(status=status)
    end.end_session(UUID(ada.sid))
    backchannel.deliver_due()
    assert LogoutDelivery.objects.get().state == "delivered"


def test_a_client_that_does_not_answer_costs_its_time_and_no_more(ada, second_site, by_hand, lazyauth):
    lazyauth(BACKCHANNEL_LOGOUT_TIMEOUT=0.3)
    second_site.answers(sleep=3)
    end.end_session(UUID(ada.sid))
    began = time.monotonic()
    backchannel.deliver_due()
    assert time.monotonic() - began < 2
    assert LogoutDelivery.objects.get().last_error == "timeout"


def test_pauses_double_up_to_an_hour(lazyauth):
    lazyauth(BACKCHANNEL_LOGOUT_PAUSE=10)
    pauses = [backchannel.pause_after(attempts).total_seconds() for attempts in (1, 2, 3, 8, 9, 10, 10_000)]
    assert pauses == [10, 20, 40, 1280, 2560, 3600, 3600]


def test_a_client_that_gave_its_address_up_is_left_alone(ada, trail, by_hand):
    end.end_session(UUID(ada.sid))
    wants_to_hear(trail, "")
    backchannel.deliver_due()
    assert LogoutDelivery.objects.get().state == "given_up"


# -- one at a time -----------------------------------------------------------------------------------------


def test_of_workers_at_once_one_tells_it(ada, second_site, by_hand):
    """The claim is one conditional UPDATE."""
    second_site.answers(sleep=0.5)
    end.end_session(UUID(ada.sid))
    pk = LogoutDelivery.objects.get().pk
    barrier = threading.Barrier(4)

    def work():
        barrier.wait()
        backchannel.deliver(pk)
        connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(second_site.heard()) == 1
    assert LogoutDelivery.objects.get().attempts == 1


def test_a_worker_that_died_loses_its_claim(ada, second_site, by_hand):
    end.end_session(UUID(ada.sid))
    pk = LogoutDelivery.objects.get().pk
    lost = LogoutDelivery.objects.claim(pk)
    assert LogoutDelivery.objects.claim(pk) is None
    make_due()
    # What it says when it comes back, while another is at it, counts no more.
    assert LogoutDelivery.objects.claim(pk).attempts == 2
    assert not LogoutDelivery.objects.settle(lost, state=DeliveryState.GIVEN_UP, next_attempt_at=None)
    make_due()
    backchannel.deliver(pk)
    assert not LogoutDelivery.objects.settle(lost, state=DeliveryState.GIVEN_UP, next_attempt_at=None)
    assert LogoutDelivery.objects.get().state == "delivered"


def test_no_transaction_is_open_while_the_client_is_told(ada, second_site, by_hand):
    end.end_session(UUID(ada.sid))
    pk = LogoutDelivery.objects.get().pk
    with transaction.atomic(), pytest.raises(RuntimeError):
        backchannel.deliver(pk)
    assert second_site.heard() == []
    assert not connection.in_atomic_block


# -- to whom ---------------------------------------------------------------------------------------------------


def test_a_strangers_address_leads_to_no_internal_host(ada, second_site, by_hand, lazyauth):
    """I14."""
    lazyauth(ALLOW_LOOPBACK_UPSTREAMS=False)
    get_application_model().objects.update(registration_source="dcr")
    for uri, reason in (
        (second_site.uri, "not_https"),
        ("https://127.0.0.1/x", "address"),
        ("https://10.0.0.1/x", "address"),
        ("https://[::ffff:127.0.0.1]/x", "address"),
    ):
        wants_to_hear(ada.client, uri)
        LogoutDelivery.objects.all().delete()
        client = get_application_model().objects.select_related("lazyauth_registration").get()
        logout_queue.note(uuid4(), client, user_pk=1)
        backchannel.deliver_due()
        assert LogoutDelivery.objects.get().last_error == reason
    assert second_site.heard() == []


# -- without anybody who was woken --------------------------------------------------------------------------


def test_the_command_tells_what_waits(ada, second_site, by_hand, capsys):
    end.end_session(UUID(ada.sid))
    call_command("deliver_logouts")
    assert "1" in capsys.readouterr().out
    assert len(second_site.heard()) == 1


def test_the_sweep_forgets_what_was_told_after_a_week(ada, second_site, by_hand):
    end.end_session(UUID(ada.sid))
    backchannel.deliver_due()
    list(sweep(now=timezone.now() + timedelta(days=6)))
    assert LogoutDelivery.objects.exists()
    list(sweep(now=timezone.now() + timedelta(days=8)))
    assert not LogoutDelivery.objects.exists()


def test_what_waits_is_not_swept(ada, by_hand):
    end.end_session(UUID(ada.sid))
    list(sweep(now=timezone.now() + timedelta(days=80)))
    assert LogoutDelivery.objects.get().state == "waiting"


@pytest.mark.parametrize(
    "wrong",
    [
        {"state": "lost"},
        {"state": "waiting", "next_attempt_at": None},
        {"state": "delivered", "next_attempt_at": "2026-01-01T00:00Z"},
        {"subject": ""},
    ],
)
def test_the_database_refuses_rows_that_make_no_sense(ada, by_hand, wrong):
    end.end_session(UUID(ada.sid))
    with pytest.raises(IntegrityError), transaction.atomic():
        LogoutDelivery.objects.update(**wrong)
