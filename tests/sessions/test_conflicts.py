"""Whoever ends something runs once more what a concurrent transaction aborted, by whichever door it came (I18, I21)."""

from __future__ import annotations

import re
from contextlib import contextmanager

import pytest
from django.contrib.auth import get_user_model
from django.core import mail
from django.db import connection
from oauth2_provider.models import AccessToken, RefreshToken

from django_lazyauth.models import Ending, PendingAuthorization, ProviderIdentity, Status
from django_lazyauth.sessions import ending_job
from django_lazyauth.upkeep.sweep import sweep
from tests.grants.test_rotation_faults import Cause, caused_by
from tests.sessions.test_account_page import forged, signed_in, told
from tests.sessions.test_own_password import ADDRESS, NEW, fill
from tests.support.journey import code_for, come_back, get

pytestmark = pytest.mark.django_db(transaction=True)


class Deadlock(Cause):
    sqlstate = "40P01"


@contextmanager
def aborted_once(model, verb):
    """Let the database abort the first transaction that comes to change a row of *model*."""
    statement, seen = f"{verb} {connection.ops.quote_name(model._meta.db_table)}", []

    def abort(execute, sql, params, many, context):
        if sql.startswith(statement) and not seen:
            seen.append(sql)
            raise caused_by(Deadlock())
        return execute(sql, params, many, context)

    with connection.execute_wrapper(abort):
        yield
    assert seen


def person():
    return get_user_model().objects.get()


def test_an_operator_ends_all_sessions_of_a_person(ada):
    code_for(ada.client)
    with aborted_once(PendingAuthorization, "UPDATE"):
        job = ending_job.start(ending_job.Target(Ending.PERSON, str(person().pk), "Ada"), user=None)
    assert (job.found, job.ended) == (1, 1)
    assert not PendingAuthorization.objects.filter(status=Status.CODE_ISSUED).exists()
    assert not ada.is_alive()


def test_an_operator_ends_tokens_of_no_session(ada):
    """Those of a site that issued tokens before us."""
    RefreshToken.objects.update(token_family=None)
    with aborted_once(AccessToken, "DELETE FROM"):
        ending_job.start(ending_job.Target(Ending.PERSON, str(person().pk), "Ada"), user=None)
    assert not ada.is_alive()


def test_the_sweep_ends_sessions_of_people_who_were_deactivated(ada):
    get_user_model().objects.update(is_active=False)
    with aborted_once(AccessToken, "DELETE FROM"):
        kinds = {swept.kind: swept.count for swept in sweep()}
    assert kinds["sessions of deactivated people"] == 1
    assert not AccessToken.objects.exists()


def test_a_person_connects_an_account(ada):
    browser = signed_in(person())
    hop = forged(browser, action="link", provider="demo")
    with aborted_once(ProviderIdentity, "INSERT INTO"):
        answer = come_back(browser, hop, subject="ada-there")
    assert "connected" in told(browser, answer)
    assert set(ProviderIdentity.objects.values_list("subject", flat=True)) == {"ada", "ada-there"}


def test_a_person_sets_a_first_password(ada, lazyauth, settings):
    """The attempt that was rolled back left nothing behind, in memory either."""
    local = {"type": "password", "display_name": "Password"}
    lazyauth(PROVIDERS=settings.LAZYAUTH["PROVIDERS"] | {"local": local})
    browser = signed_in(person())
    step = forged(browser, action="link", provider="local")
    page = fill(browser, get(browser, step.headers["Location"]), email=ADDRESS, password=NEW)
    code = re.search(r"\b([0-9A-Z]{4}-[0-9A-Z]{4})\b", mail.outbox[-1].body)[1]
    with aborted_once(get_user_model(), "UPDATE"):
        answer = fill(browser, page, code=code)
    assert "Your password is set" in told(browser, answer)
    assert person().check_password(NEW)
