"""Back-channel logout by real Celery workers, on RabbitMQ and on Redis: issue 6, done when 5."""

from __future__ import annotations

import pytest

from django_lazyauth.models import LogoutDelivery
from tests.sessions.conftest import signed_in_at, wants_to_hear
from tests.support.celery_workers import WORKER, broker, celery, wait_for
from tests.support.second_site import SecondSite
from tests.support.site_processes import SiteProcess

__all__ = ["broker", "celery"]

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def ada(live_server, settings, trail):
    settings.LAZYAUTH = {
        **settings.LAZYAUTH,
        "ISSUER": live_server.url,
        "ALLOW_LOOPBACK_UPSTREAMS": True,
        "BACKCHANNEL_LOGOUT_RUNNER": "celery",
        "BACKCHANNEL_LOGOUT_PAUSE": 0.5,
    }
    return signed_in_at(trail)


@pytest.fixture
def second_site(ada, trail):
    site = SecondSite(ada_issuer(), trail.client_id).start()
    wants_to_hear(trail, site.uri)
    yield site
    site.stop()


def ada_issuer():
    from django_lazyauth.conf import lazyauth_settings

    return lazyauth_settings.issuer


@pytest.fixture
def web(second_site):
    """Start a web process of this site, in which a session ends."""
    processes = []

    def start(**more):
        processes.append(SiteProcess(**more).wait_until_up())
        return processes[-1]

    yield start
    for process in processes:
        process.close()


def state():
    return LogoutDelivery.objects.values_list("state", flat=True).first()


def test_a_worker_tells_it(ada, second_site, celery, broker, web):
    celery(*WORKER)
    assert web(**broker).ask("end_session", session_id=ada.sid) is True
    wait_for(lambda: state() == "delivered")
    (heard,) = second_site.heard()
    assert heard["claims"]["sid"] == ada.sid


def test_a_worker_tells_it_again_while_the_other_site_is_down(ada, second_site, celery, broker, web):
    """No beat runs here: the worker comes again by itself."""
    second_site.stop()
    celery(*WORKER)
    web(**broker).ask("end_session", session_id=ada.sid)
    wait_for(lambda: LogoutDelivery.objects.get().attempts >= 2)
    assert state() == "waiting"
    second_site.start()
    wait_for(lambda: state() == "delivered")
    assert len(second_site.heard()) == 1


def test_a_worker_gives_up_as_configured(ada, second_site, celery, broker, web, lazyauth):
    lazyauth(BACKCHANNEL_LOGOUT_ATTEMPTS=3)
    second_site.answers(status=503)
    celery(*WORKER)
    web(**broker).ask("end_session", session_id=ada.sid)
    wait_for(lambda: state() == "given_up")
    assert LogoutDelivery.objects.get().attempts == 3
    assert len(second_site.heard()) == 3


def test_what_no_broker_took_beat_picks_up(ada, second_site, celery, broker, web, tmp_path):
    """Threat model: Celery down → only clean-up lags. The session is over all the same."""
    nowhere = {"LAZYAUTH_TEST_BROKER": "amqp://guest:guest@127.0.0.1:1//", "LAZYAUTH_TEST_QUEUE": "none"}
    assert web(**nowhere).ask("end_session", session_id=ada.sid) is True
    assert ada.userinfo().status_code == 401
    assert (state(), LogoutDelivery.objects.get().attempts) == ("waiting", 0)
    celery(*WORKER)
    celery("beat", "--schedule", str(tmp_path / "beat"), "--pidfile=")
    wait_for(lambda: state() == "delivered")
    assert len(second_site.heard()) == 1
