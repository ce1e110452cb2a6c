"""``--source table``: rows of the old table, on every database that the suite runs on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.utils import timezone

from django_lazyauth.models import LegacyUpstreamToken, UpstreamToken
from django_lazyauth.vault import store
from tests.conftest import register

from .conftest import CORP, GITHUB, OTHER
from .rows import bundle_of, in_an_hour, key_digest, make_legacy, make_user, migrate

pytestmark = pytest.mark.django_db

TOKENS = ("access_token", "refresh_token", "id_token", "token_type", "scope", "subject")
TIMES = ("expires_at", "refresh_expires_at")


@pytest.fixture
def ada(db):
    return make_user()


def test_a_row_moves_whole_and_sealed_and_the_old_one_goes(ada, application):
    """I12, I13: everything is kept to the second, and no token stands in the clear any more."""
    old = make_legacy(ada, application, token_type="DPoP")
    ran = migrate()
    assert (ran.status, ran.report["moved"], ran.report["remaining"]) == (0, 1, 0)
    new = bundle_of(old.session_id)
    assert {name: getattr(new, name) for name in (*TOKENS, *TIMES)} == {
        name: getattr(old, name) for name in (*TOKENS, *TIMES)
    }
    assert (new.user_id, new.client_id, new.version, new.is_dead) == (ada.pk, application.pk, 1, False)
    assert not LegacyUpstreamToken.objects.exists()
    row = UpstreamToken.objects.values().get()
    assert not any(getattr(old, name) in str(row) for name in ("access_token", "refresh_token", "id_token"))


@pytest.mark.parametrize(("kind", "name"), [("oidc", "corp"), ("oauth2", "github")])
def test_a_type_that_one_provider_has_becomes_its_name(ada, application, kind, name):
    old = make_legacy(ada, application, provider=kind)
    assert migrate().status == 0
    assert bundle_of(old.session_id, name).subject == old.subject


def test_an_empty_provider_id_needs_a_name_where_there_are_two_providers(ada, application):
    old = make_legacy(ada, application, provider="")
    ran = migrate()
    assert ran.status == 1
    assert ran.report["problems"] == [{"key": key_digest(old.session_id), "reason": "name_the_provider"}]
    assert LegacyUpstreamToken.objects.count() == 1
    assert migrate("--provider", "github").status == 0
    assert bundle_of(old.session_id, "github")


def test_an_empty_provider_id_is_the_only_providers(ada, application, lazyauth):
    lazyauth(PROVIDERS={"corp": CORP, "password": {"type": "password"}})
    old = make_legacy(ada, application, provider="")
    assert migrate().status == 0
    assert bundle_of(old.session_id, "corp")


def test_two_providers_of_a_type_need_a_name(ada, application, lazyauth):
    lazyauth(PROVIDERS={"corp": CORP, "other": OTHER})
    old = make_legacy(ada, application)
    ran = migrate()
    assert (ran.status, ran.report["reasons"]) == (1, {"name_the_provider": 1})
    assert not UpstreamToken.objects.exists()
    assert migrate("--provider", "other").status == 0
    assert bundle_of(old.session_id, "other")


def test_a_provider_that_is_off_is_not_meant(ada, application, lazyauth):
    lazyauth(PROVIDERS={"corp": CORP, "other": {**OTHER, "enabled": False}})
    old = make_legacy(ada, application)
    assert migrate().status == 0
    assert bundle_of(old.session_id, "corp")


def test_no_provider_of_the_type_is_a_reason(ada, application, lazyauth):
    lazyauth(PROVIDERS={"corp": CORP})
    make_legacy(ada, application, provider="oauth2")
    ran = migrate()
    assert (ran.status, ran.report["reasons"]) == (1, {"no_provider_of_this_type": 1})
    assert LegacyUpstreamToken.objects.count() == 1


@pytest.mark.parametrize("name", ["nobody", "password", "", "oidc"])
def test_a_name_that_is_no_provider_with_an_upstream_stops_it(ada, application, lazyauth, name):
    lazyauth(PROVIDERS={"corp": CORP, "password": {"type": "password"}})
    make_legacy(ada, application)
    ran = migrate("--provider", name)
    assert (ran.status, ran.out) == (1, "")
    assert LegacyUpstreamToken.objects.count() == 1


def test_exactly_one_name_may_be_given(ada, application):
    ran = migrate("--provider", "corp", "--provider", "github")
    assert (ran.status, ran.out) == (1, "")


def test_a_row_with_a_logical_name_is_not_claimed(ada, application):
    """The cross-provider guard: what names a provider is that provider's."""
    named = [
        make_legacy(ada, application, provider=name) for name in ("github", "corp", "gone", "sso:a.example")
    ]
    ran = migrate("--provider", "corp")
    assert (ran.status, ran.report["unclaimed"], ran.report["moved"]) == (0, 4, 0)
    assert not UpstreamToken.objects.exists()
    assert LegacyUpstreamToken.objects.count() == len(named)


def test_a_provider_that_is_called_like_its_type_keeps_its_rows(ada, application, lazyauth):
    lazyauth(PROVIDERS={"oidc": CORP, "other": OTHER})
    old = make_legacy(ada, application)
    assert migrate("--provider", "other").report["unclaimed"] == 1
    assert not UpstreamToken.objects.exists()
    assert migrate("--provider", "oidc").status == 0
    assert bundle_of(old.session_id, "oidc")


def test_a_row_whose_id_token_names_another_issuer_is_not_claimed(ada, application):
    """I19: ``oidc`` stood for every OpenID provider; the token says which one it was."""
    from tests.support.id_tokens import unsigned

    other = make_legacy(ada, application, id_token=unsigned(iss=OTHER["issuer"], sub="x"))
    ours = make_legacy(ada, application, id_token=unsigned(iss=CORP["issuer"], sub="x"))
    ran = migrate()
    assert ran.report["problems"] == [{"key": key_digest(other.session_id), "reason": "issuer_differs"}]
    assert bundle_of(ours.session_id)
    assert UpstreamToken.objects.count() == 1


def test_a_row_without_subject_takes_that_of_its_id_token(ada, application):
    from tests.support.id_tokens import unsigned

    told = make_legacy(ada, application, subject="", id_token=unsigned(iss=CORP["issuer"], sub="told"))
    silent = make_legacy(ada, application, subject="")
    ran = migrate()
    assert bundle_of(told.session_id).subject == "told"
    assert ran.report["problems"] == [{"key": key_digest(silent.session_id), "reason": "subject_missing"}]


def test_the_new_row_wins_and_the_old_one_is_retired(ada, application):
    old = make_legacy(ada, application)
    stands = store.UpstreamBundle(
        session_id=store.UUID(old.session_id),
        provider="corp",
        user_id=ada.pk,
        client_id=application.pk,
        subject="sub-of-ada",
        access_token="newer",
        refresh_token="newer-refresh",
    )
    store.store(stands)
    before = UpstreamToken.objects.values().get()
    ran = migrate()
    assert (ran.status, ran.report["existed"], ran.report["moved"]) == (0, 1, 0)
    assert UpstreamToken.objects.values().get() == before
    assert not LegacyUpstreamToken.objects.exists()


def test_the_old_row_stays_while_the_new_one_cannot_be_opened(ada, application):
    """Retired only after the new one was read back: a row that no key opens is as good as none."""
    old = make_legacy(ada, application)
    assert migrate().status == 0
    UpstreamToken.objects.update(access_token="v1.gone.AAAA")
    make_legacy(ada, application, session_id=old.session_id)
    ran = migrate()
    assert ran.report["reasons"] == {"new_row_unreadable": 1}
    assert LegacyUpstreamToken.objects.count() == 1


def test_a_new_row_of_somebody_else_is_left_alone(ada, application):
    old = make_legacy(ada, application)
    assert migrate().status == 0
    make_legacy(make_user("eve"), application, session_id=old.session_id)
    ran = migrate()
    assert ran.report["reasons"] == {"session_of_another": 1}
    assert bundle_of(old.session_id).user_id == ada.pk


def test_the_old_row_stays_if_the_write_did_not_happen(ada, application, monkeypatch):
    make_legacy(ada, application)
    monkeypatch.setattr("django_lazyauth.legacy.bulk.insert_absent", lambda *args, **kwargs: None)
    ran = migrate()
    assert (ran.status, ran.report["reasons"]) == (1, {"not_read_back": 1})
    assert LegacyUpstreamToken.objects.count() == 1


def test_expired_tokens_move_too(ada, application):
    long_ago = timezone.now().replace(microsecond=0) - timedelta(days=400)
    old = make_legacy(ada, application, expires_at=long_ago, refresh_expires_at=None)
    assert migrate().status == 0
    new = bundle_of(old.session_id)
    assert (new.expires_at, new.refresh_expires_at) == (long_ago, None)
    assert new.refresh_token == old.refresh_token


@pytest.mark.parametrize("scope", ["", "openid", "openid email calendar"])
def test_the_scope_is_what_it_was(ada, application, scope):
    """I20: also where the provider is configured for more now."""
    old = make_legacy(ada, application, scope=scope)
    assert migrate().status == 0
    assert bundle_of(old.session_id).scope == scope


def test_the_tokens_of_somebody_inactive_stay_dead(application):
    """Deactivated, moved, activated again: the tokens of before do not come back to life."""
    gone = make_user("gone", is_active=False)
    old = make_legacy(gone, application)
    ran = migrate()
    assert (ran.status, ran.report["dead"]) == (0, 1)
    gone.is_active = True
    gone.save()
    assert UpstreamToken.objects.get().is_dead
    assert not LegacyUpstreamToken.objects.exists()
    assert bundle_of(old.session_id).is_dead


def test_a_row_ends_when_it_was_to_end_or_as_a_new_one_does(ada, application, lazyauth):
    lazyauth(VAULT_RETENTION=3600)
    ends = in_an_hour() + timedelta(days=7)
    told = make_legacy(ada, application, retain_until=ends)
    silent = make_legacy(ada, application)
    assert migrate().status == 0
    rows = dict(UpstreamToken.objects.values_list("session_id", "retain_until"))
    assert rows[store.UUID(told.session_id)] == ends
    assert abs(rows[store.UUID(silent.session_id)] - timezone.now() - timedelta(hours=1)) < timedelta(
        seconds=30
    )


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"session_id": "no-uuid"}, "session_malformed"),
        ({"access_token": "", "refresh_token": ""}, "no_tokens"),
        ({"access_token": "x" * 200_000}, "malformed"),
    ],
)
def test_a_row_that_cannot_move_stays_alone_with_its_reason(ada, application, fields, reason):
    bad = make_legacy(ada, application, **fields)
    good = [make_legacy(ada, application) for _ in range(3)]
    ran = migrate()
    assert ran.status == 1
    assert ran.report["problems"] == [{"key": key_digest(bad.session_id), "reason": reason}]
    assert ran.report["moved"] == len(good)
    assert list(LegacyUpstreamToken.objects.values_list("pk", flat=True)) == [bad.pk]


def test_what_the_database_refuses_stands_alone(ada, application, monkeypatch):
    """A row that looks well and that the database does not take: the others of its batch move."""
    from django_lazyauth.legacy import bulk

    bad = make_legacy(ada, application)
    good = [make_legacy(ada, application) for _ in range(6)]
    seal_row = bulk.seal_row

    def without_type(bundle, **kwargs):
        sealed = seal_row(bundle, **kwargs)
        if str(bundle.session_id) == bad.session_id:
            sealed.row["subject"] = None
        return sealed

    monkeypatch.setattr("django_lazyauth.legacy.bulk.seal_row", without_type)
    ran = migrate()
    assert ran.report["problems"] == [
        {"key": key_digest(bad.session_id), "reason": "refused_by_the_database"}
    ]
    assert (ran.report["moved"], ran.report["read"]) == (len(good), 7)
    assert LegacyUpstreamToken.objects.count() == 1


def test_a_cipher_that_fails_for_one_row_stops_no_other(ada, application, monkeypatch):
    from django_lazyauth.vault.cipher import AesGcmCipher

    bad, good = make_legacy(ada, application), make_legacy(ada, application)
    seal = AesGcmCipher.seal

    def moody(self, text, place):
        if str(place.session_id) == bad.session_id:
            raise RuntimeError(text)
        return seal(self, text, place)

    monkeypatch.setattr(AesGcmCipher, "seal", moody)
    ran = migrate()
    assert ran.report["problems"] == [{"key": key_digest(bad.session_id), "reason": "not_sealed"}]
    assert bundle_of(good.session_id)
    assert bad.access_token not in ran.out + ran.err


def test_a_dry_run_counts_and_writes_nothing(ada, application):
    rows = [make_legacy(ada, application) for _ in range(5)]
    make_legacy(ada, application, subject="")
    make_legacy(ada, application, provider="github")
    ran = migrate("--dry-run", "--batch-size", "2")
    assert ran.status == 1
    assert ran.report["dry_run"] is True
    assert (ran.report["moved"], ran.report["failed"], ran.report["unclaimed"]) == (5, 1, 1)
    assert not UpstreamToken.objects.exists()
    assert LegacyUpstreamToken.objects.count() == len(rows) + 2


def test_a_limit_moves_so_many_and_the_next_run_the_rest(ada, application):
    for _ in range(7):
        make_legacy(ada, application)
    first = migrate("--limit", "3", "--batch-size", "2").report
    assert (first["moved"], first["remaining"]) == (3, 4)
    assert migrate().report["moved"] == 4


def test_a_second_run_changes_nothing(ada, application):
    for _ in range(5):
        make_legacy(ada, application)
    migrate()
    before = list(UpstreamToken.objects.order_by("pk").values())
    ran = migrate()
    assert (ran.status, ran.report["read"], ran.report["moved"]) == (0, 0, 0)
    assert list(UpstreamToken.objects.order_by("pk").values()) == before


@pytest.mark.parametrize("size", ["1", "2", "7", "10000"])
def test_every_batch_size_moves_everything(ada, application, size):
    sessions = [make_legacy(ada, application).session_id for _ in range(7)]
    assert migrate("--batch-size", size).report["moved"] == 7
    assert all(bundle_of(session).access_token == f"access-{session}" for session in sessions)


@pytest.mark.parametrize(
    "arguments",
    [["--batch-size", "0"], ["--batch-size", "10001"], ["--limit", "0"], ["--limit", "x"], ["--source", "y"]],
)
def test_options_that_make_no_sense_are_refused(db, arguments):
    ran = migrate(*arguments)
    assert (ran.status, ran.out) == (1, "")


def test_text_of_all_kinds_arrives_as_it_was(ada, application):
    odd = "ünïcödé 🔑 'quotes\" {braces} \\back\\slashes, NULL"
    old = make_legacy(
        ada, application, subject=odd, access_token=odd, refresh_token="{}", scope=odd, id_token=""
    )
    assert migrate().status == 0
    new = bundle_of(old.session_id)
    assert (new.subject, new.access_token, new.refresh_token, new.scope, new.id_token) == (
        odd,
        odd,
        "{}",
        odd,
        "",
    )


def test_subjects_that_differ_in_case_only_are_two_people(application):
    """I5, also on a database that compares without regard to case unless it is told."""
    from django_lazyauth.models import ProviderIdentity

    users = [make_user(name) for name in ("one", "two", "three")]
    for user, subject in zip(users, ("Abc", "abc", "abc "), strict=True):
        ProviderIdentity.objects.create(user=user, provider="oidc", subject=subject)
        make_legacy(user, application, subject=subject)
    ran = migrate()
    assert (ran.status, ran.report["identities"]["added"]) == (0, 3)
    for user, subject in zip(users, ("Abc", "abc", "abc "), strict=True):
        assert ProviderIdentity.objects.get(provider="corp", subject=subject).user == user


def test_a_sign_out_takes_the_old_row_along(ada, application):
    """I11: what ends before the migration does not come back with it."""
    from django_lazyauth.sessions.end import end_session

    old, other = make_legacy(ada, application), make_legacy(ada, application)
    end_session(store.UUID(old.session_id))
    assert migrate().report["moved"] == 1
    assert UpstreamToken.objects.get().session_id == store.UUID(other.session_id)


def test_a_deactivation_takes_all_old_rows_of_the_person_along(application):
    """I11: their sessions end, those in the old format too."""
    ada, bob = make_user("ada"), make_user("bob")
    make_legacy(ada, application)
    stays = make_legacy(bob, application)
    ada.is_active = False
    ada.save()
    assert LegacyUpstreamToken.objects.get() == stays


def test_rows_of_many_clients_and_users_keep_their_binding(application):
    clients = [application, register(client_id="second"), register(client_id="third")]
    rows = [make_legacy(make_user(f"user{number}"), clients[number % 3]) for number in range(12)]
    assert migrate("--batch-size", "5").status == 0
    for old in rows:
        new = bundle_of(old.session_id)
        assert (new.user_id, new.client_id) == (old.user_id, old.client_id)


def test_the_report_says_the_same_in_words(ada, application):
    bad = make_legacy(ada, application, subject="")
    make_legacy(ada, application)
    ran = migrate(as_json=False)
    assert ran.status == 1
    assert "2 rows read, 1 moved" in ran.out
    assert f"{key_digest(bad.session_id)} subject_missing" in ran.out
    assert "rows/s" in ran.out


def test_a_report_of_very_many_problems_has_an_end(ada, application, monkeypatch):
    monkeypatch.setattr("django_lazyauth.legacy.report.MAX_PROBLEMS", 3)
    for _ in range(5):
        make_legacy(ada, application, subject="")
    report = migrate().report
    assert (report["failed"], len(report["problems"]), report["problems_not_listed"]) == (5, 3, 2)
    assert "and 2 more" in migrate(as_json=False).out


def test_the_row_that_is_moving_is_locked_where_rows_can_be(ada, application):
    """A sign-out that comes meanwhile waits, and then finds the new row."""
    make_legacy(ada, application)
    statements = []

    def note(execute, sql, params, many, context):
        statements.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        migrate()
    locks = [sql for sql in statements if "FOR UPDATE" in sql and "legacyupstreamtoken" in sql]
    assert bool(locks) == connection.features.has_select_for_update


def test_github_rows_are_told_apart_from_openid_ones(ada, application, lazyauth):
    lazyauth(PROVIDERS={"corp": CORP, "other": OTHER, "github": GITHUB})
    openid, oauth2 = make_legacy(ada, application), make_legacy(ada, application, provider="oauth2")
    ran = migrate("--provider", "other")
    assert ran.status == 0
    assert bundle_of(openid.session_id, "other")
    assert bundle_of(oauth2.session_id, "github")


@pytest.mark.parametrize("moment", [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)])
def test_zero_and_far_times_move_as_unknown_ones(ada, application, moment):
    row = make_legacy(ada, application, **dict.fromkeys((*TIMES, "retain_until"), moment))
    assert migrate().status == 0
    new = bundle_of(row.session_id)
    assert (new.expires_at, new.refresh_expires_at) == (None, None)
    assert timedelta(0) < UpstreamToken.objects.get().retain_until - timezone.now() < timedelta(days=4000)


@pytest.mark.parametrize(
    "moment", ["infinity", "-infinity", "0044-03-15 00:00:00+00 BC", "20000-01-01 00:00:00+00"]
)
def test_a_time_that_the_driver_cannot_read_is_unknown(ada, application, moment):
    """Other software wrote it. It stops neither its row nor the others."""
    if connection.vendor != "postgresql":
        moment = "0000-00-00 00:00:00" if connection.vendor == "sqlite" else "0001-01-01 00:00:00"
    row, other = make_legacy(ada, application), make_legacy(ada, application)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE lazyauth_legacyupstreamtoken SET expires_at = %s, retain_until = %s WHERE id = %s",
            [moment, moment, row.pk],
        )
    assert migrate().report["moved"] == 2
    assert bundle_of(row.session_id).expires_at is None
    assert bundle_of(other.session_id).expires_at is not None
