"""Whatever fails in an exchange: nothing half-written stands, and the code is good for the next try (spec 1)."""

from __future__ import annotations

import itertools
import logging
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.db import InterfaceError, OperationalError, connection, transaction
from django.utils import timezone

from django_lazyauth.authorize.code import deny
from django_lazyauth.errors import RegistrationRefused
from django_lazyauth.models import DeferredRegistration, PendingAuthorization, ProviderIdentity, Status
from django_lazyauth.sign_in.deferred import open_deferred
from django_lazyauth.signals import finalize_failed, user_registered
from django_lazyauth.users import username_for
from tests.conftest import CONFIDENTIAL_SECRET, register
from tests.races.rows import NOTHING, each, rows
from tests.support.journey import OAuthClient, come_back, consent, get, make_browser, query_of, redeem, start
from tests.support.providers import BelievingProvider
from tests.support.recorded import code_for

pytestmark = pytest.mark.django_db(transaction=True)

User = get_user_model()

CANARY = "canary-in-an-error"


class FailAt:
    """An execute wrapper: the *n*-th statement fails, or every one from there on."""

    def __init__(self, n, error, *, lasting=False):
        self.n, self.error, self.lasting, self.seen = n, error, lasting, 0

    @property
    def fired(self):
        return self.seen >= self.n

    def __call__(self, execute, sql, params, many, context):
        self.seen += 1
        if self.seen == self.n or (self.lasting and self.fired):
            raise self.error
        return execute(sql, params, many, context)


def assert_server_error(answer):
    """503 where the database failed, because another try may succeed; 500 for every other failure of ours."""
    told = answer.status_code, answer.json()
    assert told in ((500, {"error": "server_error"}), (503, {"error": "temporarily_unavailable"}))
    assert ("Retry-After" in answer.headers) == (answer.status_code == 503)
    assert_json_and_not_kept(answer)


def assert_refused(answer, error="invalid_grant", status=400):
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert_json_and_not_kept(answer)
    return answer.json().get("error_description", "")


def assert_json_and_not_kept(answer):
    """RFC 6749 §5.2."""
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert CANARY not in answer.content.decode()


def deferred_username():
    return username_for(open_deferred(DeferredRegistration.objects.get()).identity)


@pytest.fixture
def received():
    """What receivers of ``finalize_failed`` were told."""
    told = []

    def receive(sender, signal, **values):
        told.append(values)

    finalize_failed.connect(receive)
    yield told
    finalize_failed.disconnect(receive)


@pytest.fixture
def on_registration():
    """What receivers of ``user_registered`` do: ``on_registration.append(do)``."""
    hooks = []

    def receive(sender, signal, **values):
        for hook in hooks:
            hook(**values)

    user_registered.connect(receive)
    yield hooks
    user_registered.disconnect(receive)


# -- the database, a provider, a receiver ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "lasting"),
    [
        pytest.param(OperationalError(CANARY), False, id="the database, once"),
        pytest.param(InterfaceError(CANARY), True, id="the database, from there on"),
        pytest.param(RuntimeError(CANARY), False, id="something else"),
    ],
)
def test_a_failure_at_any_statement_writes_nothing_and_the_code_stays_good(client_, error, lasting):
    """I3: each statement of the exchange fails in turn."""
    for n in itertools.count(1):
        code = code_for(client_, subject=f"person{n}")
        fault = FailAt(n, error, lasting=lasting)
        with connection.execute_wrapper(fault):
            answer = redeem(client_, code)
        if not fault.fired:
            assert answer.status_code == 200
            break
        assert_server_error(answer)
        assert rows() == each(n - 1)
        assert redeem(client_, code).status_code == 200
        assert rows() == each(n)
    assert n > 5


def test_a_commit_that_fails_writes_nothing_and_the_code_stays_good(client_, monkeypatch):
    """I3."""
    code = code_for(client_)

    def fail():
        raise OperationalError(CANARY)

    with monkeypatch.context() as patch:
        patch.setattr(connection, "commit", fail)
        assert_server_error(redeem(client_, code))
    assert rows() == NOTHING
    assert redeem(client_, code).status_code == 200
    assert rows() == each(1)


@pytest.mark.parametrize("where", ["receiver", "finalize"])
def test_an_exception_of_the_host_is_counted_by_its_class_and_told_without_its_text(
    client_, received, on_registration, where
):
    """Spec 1: all rolled back, the code stays good, ``finalize_failed`` fires; I13."""

    class HookBroke(Exception):
        pass

    def fail(**values):
        raise HookBroke(f"{CANARY} {values}")

    code = code_for(client_)
    if where == "receiver":
        on_registration.append(fail)
    else:
        BelievingProvider.before_finalize.append(fail)
    for attempt in (1, 2):
        assert_server_error(redeem(client_, code))
        assert rows() == NOTHING
        pending = PendingAuthorization.objects.get()
        assert (pending.status, pending.failed_attempts) == (Status.CODE_ISSUED, attempt)
        assert pending.last_error == "HookBroke"
        assert received[-1] == {
            "session_id": pending.pk,
            "client_id": client_.client_id,
            "provider": "demo",
            "error_class": "HookBroke",
            "attempts": attempt,
        }
    assert DeferredRegistration.objects.count() == 1
    on_registration.clear()
    BelievingProvider.before_finalize.clear()
    assert redeem(client_, code).status_code == 200
    assert rows() == each(1)


def test_a_receiver_of_finalize_failed_that_raises_changes_nothing(client_, received):
    code = code_for(client_)

    def fail(**values):
        raise RuntimeError

    finalize_failed.connect(fail)
    try:
        BelievingProvider.before_finalize.append(fail)
        assert_server_error(redeem(client_, code))
    finally:
        finalize_failed.disconnect(fail)
    BelievingProvider.before_finalize.clear()
    assert redeem(client_, code).status_code == 200


@pytest.mark.parametrize("where", ["receiver", "finalize"])
def test_a_host_that_refuses_is_heard_and_the_registration_is_discarded(client_, on_registration, where):
    """``RegistrationRefused``: ``invalid_grant`` with the host's words, for good."""

    def refuse(**values):
        raise RegistrationRefused("Only staff may register.")

    code = code_for(client_)
    if where == "receiver":
        on_registration.append(refuse)
    else:
        BelievingProvider.before_finalize.append(refuse)
    assert assert_refused(redeem(client_, code)) == "Only staff may register."
    assert rows() == NOTHING
    assert DeferredRegistration.objects.count() == 0
    assert PendingAuthorization.objects.get().status == Status.FAILED
    assert_refused(redeem(client_, code))


@pytest.mark.parametrize("refusal", ["host", "name"])
def test_a_failure_at_any_statement_of_a_refusal_writes_nothing(client_, on_registration, refusal):
    """The host refuses, or the name is taken; now the statements that note it fail in turn."""

    def refuse(**values):
        raise RegistrationRefused("Only staff may register.")

    on_registration.append(refuse)
    for n in itertools.count(1):
        code = code_for(client_, subject=f"person{n}")
        if refusal == "name":
            User.objects.create(username=deferred_username())
        before = rows()
        fault = FailAt(n, OperationalError(CANARY))
        with connection.execute_wrapper(fault):
            answer = redeem(client_, code)
        if not fault.fired:
            break
        assert_server_error(answer)
        assert_refused(redeem(client_, code))
        assert rows() == before
        assert not DeferredRegistration.objects.exists()
    assert_refused(answer)
    assert n > 5


def test_a_hook_after_the_commit_that_fails_does_not_take_the_answer_back(client_, on_registration, received):
    """What is committed is told: a welcome mail that fails costs nobody their tokens."""

    def send_mail():
        raise RuntimeError(CANARY)

    on_registration.append(lambda **values: transaction.on_commit(send_mail))
    answer = redeem(client_, code_for(client_))
    assert answer.status_code == 200
    assert rows() == each(1)
    assert received == []
    bearer = {"authorization": f"Bearer {answer.json()['access_token']}"}
    assert get(make_browser(), "/userinfo", headers=bearer).status_code == 200


def test_a_denial_that_comes_after_the_exchange_takes_nothing_back(client_):
    """A second tab read the row before the person allowed it and the client redeemed the code."""
    browser = make_browser()
    answer = come_back(browser, start(browser, client_), subject="ada")
    seen_by_the_tab = PendingAuthorization.objects.get()
    code = query_of(consent(browser, answer).headers["Location"])["code"]
    assert redeem(client_, code).status_code == 200
    deny(seen_by_the_tab)
    assert rows() == each(1)
    assert PendingAuthorization.objects.get().status == Status.EXCHANGED


def test_a_replay_whose_session_cannot_be_ended_is_an_error_and_the_next_replay_ends_it(client_):
    """I2: every statement of the replay fails in turn, and none of it is an exception of the endpoint."""
    for n in itertools.count(1):
        code = code_for(client_, subject=f"person{n}")
        assert redeem(client_, code).status_code == 200
        fault = FailAt(n, OperationalError(CANARY))
        with connection.execute_wrapper(fault):
            answer = redeem(client_, code)
        if fault.fired:
            assert_server_error(answer)
            answer = redeem(client_, code)
        assert_refused(answer)
        assert (rows()["access"], rows()["vault"]) == (0, 0)
        if not fault.fired:
            break
    assert n > 3


def test_an_exchange_is_one_transaction_also_where_every_request_is(client_, monkeypatch):
    """``ATOMIC_REQUESTS`` would undo what has to outlive the rollback: the count, the end of a session."""
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    code = code_for(client_)

    def fail():
        raise RuntimeError

    BelievingProvider.before_finalize.append(fail)
    assert_server_error(redeem(client_, code))
    assert PendingAuthorization.objects.get().failed_attempts == 1
    BelievingProvider.before_finalize.clear()
    assert redeem(client_, code).status_code == 200
    assert_refused(redeem(client_, code))
    assert (rows()["access"], rows()["vault"]) == (0, 0)


# -- in between ------------------------------------------------------------------------------------------------


def test_a_user_deactivated_between_consent_and_exchange_gets_nothing(client_):
    assert redeem(client_, code_for(client_)).status_code == 200
    code = code_for(client_)
    User.objects.update(is_active=False)
    assert_refused(redeem(client_, code))
    assert rows() == each(1)
    assert len(BelievingProvider.finalized) == 1
    User.objects.update(is_active=True)
    assert redeem(client_, code).status_code == 200


def test_a_user_deleted_between_consent_and_exchange_gets_nothing(client_):
    assert redeem(client_, code_for(client_)).status_code == 200
    code = code_for(client_)
    User.objects.get().delete()
    assert_refused(redeem(client_, code))
    assert rows() == NOTHING


def test_a_new_person_deactivated_under_another_code_gets_nothing(client_):
    """Nobody when the code was issued; a user since, who may not sign in."""
    first, second = code_for(client_), code_for(client_)
    assert redeem(client_, first).status_code == 200
    User.objects.update(is_active=False)
    assert assert_refused(redeem(client_, second)) == "This account may not sign in."
    assert rows() == each(1)
    assert len(BelievingProvider.finalized) == 1


def test_i21_a_new_person_who_is_deleted_takes_their_other_code_along_and_may_sign_in_anew(client_):
    first, second = code_for(client_), code_for(client_)
    assert redeem(client_, first).status_code == 200
    User.objects.get().delete()
    assert_refused(redeem(client_, second))
    assert rows() == NOTHING
    assert redeem(client_, code_for(client_)).status_code == 200
    assert rows() == each(1)


@pytest.mark.parametrize("how", ["removed", "disabled"])
def test_a_provider_removed_in_between_refuses_the_code_until_it_is_back(client_, lazyauth, settings, how):
    code = code_for(client_)
    before = settings.LAZYAUTH["PROVIDERS"]
    others = {name: mapping for name, mapping in before.items() if name != "demo"}
    lazyauth(
        PROVIDERS=others if how == "removed" else before | {"demo": {**before["demo"], "enabled": False}}
    )
    assert "not available" in assert_refused(redeem(client_, code))
    assert rows() == NOTHING
    lazyauth(PROVIDERS=before)
    assert redeem(client_, code).status_code == 200


def test_an_expired_code_is_refused_and_nobody_is_written(client_):
    """RFC 6749 §4.1.2."""
    code = code_for(client_)
    PendingAuthorization.objects.update(code_expires_at=timezone.now() - timedelta(seconds=1))
    assert_refused(redeem(client_, code))
    assert rows() == NOTHING
    assert BelievingProvider.finalized == []


def test_a_registration_sealed_with_a_lost_key_is_refused_and_discarded(client_, lazyauth):
    code = code_for(client_)
    lazyauth(VAULT_KEYS=["other:OTg3NjU0MzIxMDk4NzY1NDMyMTA5ODc2NTQzMjEwOTg="])
    assert assert_refused(redeem(client_, code))
    assert rows() == NOTHING
    assert DeferredRegistration.objects.count() == 0


def test_the_same_subject_at_two_providers_is_two_users(client_):
    """I5."""
    for provider in ("demo", "other"):
        browser = make_browser()
        assert redeem(client_, code_at(browser, client_, provider)).status_code == 200
    assert rows() == each(2)
    assert set(ProviderIdentity.objects.values_list("provider", "subject")) == {
        ("demo", "ada"),
        ("other", "ada"),
    }


def code_at(browser, client, provider):
    upstream = start(browser, client, provider=provider)
    answer = consent(browser, come_back(browser, upstream, subject="ada", provider=provider))
    return query_of(answer.headers["Location"])["code"]


# -- somebody else -----------------------------------------------------------------------------------------------


@pytest.fixture
def stranger(db):
    register(client_id="stranger", name="Stranger")
    return OAuthClient("stranger")


WRONG = {
    "client": ({"client_id": "stranger"}, "invalid_grant", 400),
    "unknown client": ({"client_id": "nobody"}, "invalid_client", 401),
    "no client": ({"client_id": None}, "invalid_client", 401),
    "redirect URI": ({"redirect_uri": "https://client.example/cb2"}, "invalid_grant", 400),
    "redirect URI, left out": ({"redirect_uri": None}, "invalid_request", 400),
    "verifier": ({"code_verifier": "x" * 64}, "invalid_grant", 400),
    # A parameter without a value is absent (RFC 6749 §3.2).
    "verifier, empty": ({"code_verifier": ""}, "invalid_request", 400),
    "verifier, left out": ({"code_verifier": None}, "invalid_request", 400),
    "secret": ({"client_secret": "guessed"}, "invalid_client", 401),
}


@pytest.mark.usefixtures("stranger")
@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_redemption_calls_no_finalize_and_spends_nothing(application, client_, received, wrong):
    """Spec 1; the real client still redeems the code."""
    changes, error, status = WRONG[wrong]
    code = code_for(client_)
    # With one registered redirect URI, a missing one would be the right one (RFC 6749 §3.1.2.3).
    type(application).objects.update(redirect_uris="https://client.example/first https://client.example/cb")
    for _ in range(2):
        assert_refused(redeem(client_, code, **changes), error, status)
    assert rows() == NOTHING
    assert BelievingProvider.finalized == []
    assert received == []
    assert redeem(client_, code).status_code == 200
    assert rows() == each(1)


def test_a_resource_that_was_not_granted_calls_no_finalize_and_spends_nothing(client_):
    """RFC 8707 §2.2, spec 1."""
    code = code_for(client_, resource="https://api.example/mcp")
    for resource in ("https://api.example/other", "not a URI"):
        assert_refused(redeem(client_, code, resource=resource), "invalid_target")
    assert BelievingProvider.finalized == []
    assert rows() == NOTHING
    assert redeem(client_, code, resource="https://api.example/mcp").status_code == 200


def test_a_failed_client_authentication_calls_no_finalize_and_spends_nothing(confidential):
    """RFC 6749 §5.2: 401, with the challenge of the scheme."""
    code = code_for(confidential)
    for changes in ({"client_secret": "guessed"}, {"client_secret": None}):
        answer = redeem(confidential, code, **changes)
        assert_refused(answer, "invalid_client", 401)
        assert answer.headers["WWW-Authenticate"].startswith("Basic")
    assert BelievingProvider.finalized == []
    assert rows() == NOTHING
    assert redeem(confidential, code).status_code == 200


# -- what is told ------------------------------------------------------------------------------------------------


def fail_with_everything(**values):
    stack = [repr(values)]
    raise ValueError(*stack)


@pytest.mark.parametrize("fault", ["finalize", "receiver", "unique name", "statement", "lost key"])
def test_a_failure_logs_nothing_of_the_person_the_commit_or_the_request(
    confidential, caplog, on_registration, lazyauth, fault
):
    """I13: at DEBUG, of every logger."""
    code = code_for(confidential, subject="canary-subject")
    secrets_of_it = [
        "canary-subject",
        "upstream-access",
        "upstream-refresh",
        "people.example",
        CANARY,
        code,
        confidential.verifier,
        CONFIDENTIAL_SECRET,
        DeferredRegistration.objects.get().commit,
    ]
    statement = FailAt(10_000, None)
    match fault:
        case "finalize":
            BelievingProvider.before_finalize.append(
                lambda: fail_with_everything(secrets_of_it=secrets_of_it)
            )
        case "receiver":
            on_registration.append(lambda **values: fail_with_everything(**values, more=secrets_of_it))
        case "unique name":
            User.objects.create(username=deferred_username())
        case "statement":
            statement = FailAt(5, OperationalError(" ".join(secrets_of_it)))
        case "lost key":
            lazyauth(VAULT_KEYS=["other:OTg3NjU0MzIxMDk4NzY1NDMyMTA5ODc2NTQzMjEwOTg="])
    caplog.clear()
    with caplog.at_level(logging.DEBUG), connection.execute_wrapper(statement):
        answer = redeem(confidential, code)
    assert answer.status_code in {400, 500, 503}
    told = caplog.text + repr([vars(record) for record in caplog.records]) + answer.content.decode()
    kept = repr(PendingAuthorization.objects.values_list("last_error", "failed_attempts").get())
    assert caplog.records
    for secret in secrets_of_it:
        assert secret not in told + kept, secret
