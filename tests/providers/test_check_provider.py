"""Spec 9, ``manage.py check_provider``: what an operator is told of a provider that really answers."""

from __future__ import annotations

import base64
import json
import time
from datetime import timedelta
from io import StringIO

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.core.checks import run_checks
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_lazyauth.checks.provider_report import check_providers
from django_lazyauth.models import ProviderKeySet, UpstreamGrant

pytestmark = pytest.mark.django_db(transaction=True)


def run(*arguments: str) -> tuple[int, str]:
    """Return the exit status and what was printed."""
    out = StringIO()
    try:
        call_command("check_provider", *arguments, stdout=out)
    except SystemExit as stopped:
        return int(str(stopped.code)), out.getvalue()
    return 0, out.getvalue()


def findings(*arguments: str, status: int, name: str = "acme") -> list[tuple[str, str, str]]:
    found, text = run(name, "--json", *arguments)
    [report] = json.loads(text)["providers"]
    assert (report["provider"], found) == (name, status), text
    assert set(report) == {"provider", "state", "findings"}
    assert report["state"] == {0: "ok", 1: "fix", 2: "unasked"}[status]
    return [(entry["level"], entry["about"], entry["text"]) for entry in report["findings"]]


def of_level(level: str, found) -> dict[str, str]:
    return {about: text for its_level, about, text in found if its_level == level}


@pytest.fixture
def configure(upstream, settings):
    def change(**changes):
        settings.LAZYAUTH["PROVIDERS"]["acme"] = upstream.config(**changes)

    return change


def test_a_provider_that_works_has_nothing_to_fix(upstream):
    found = findings(status=0)
    assert of_level("ok", found) == of_level("ok", found) | {
        "configuration": "The entry can be used.",
        "client": "The provider knows this site by client_secret_basic.",
        "keys": "2 keys, of which 2 fit the algorithms of the entry.",
        "issuer": f"The entry says {upstream.issuer}, and its metadata {upstream.issuer}.",
    }
    assert {"authorization_endpoint", "token_endpoint", "userinfo_endpoint", "revocation_endpoint"} <= set(
        of_level("ok", found)
    )
    assert of_level("note", found)["redirect_uri"].endswith("https://auth.example/callback/acme")
    assert of_level("note", found)["iss"] == "Its answers name the issuer (RFC 9207)."
    assert [asked["method"] for asked in upstream.requests("/token")] == ["GET", "POST"]


def test_it_writes_the_row_of_the_provider_only_and_prints_no_secret(upstream):
    with CaptureQueriesContext(connection) as captured:
        _status, text = run("acme")
    statements = [query["sql"] for query in captured]
    changes = [sql for sql in statements if not sql.startswith(("SELECT", "BEGIN", "COMMIT"))]
    table = connection.ops.quote_name(ProviderKeySet._meta.db_table)
    assert changes
    assert all(table in sql for sql in changes), changes
    assert upstream.client_secret not in text
    assert upstream.client_secret not in run("acme", "--json")[1]
    asked = upstream.requests("/token")[1]
    assert asked["form"]["grant_type"] == "authorization_code"
    assert asked["form"]["code"] not in text


def test_it_prints_one_line_a_finding(upstream):
    status, text = run("acme")
    assert status == 0
    lines = text.splitlines()
    assert lines[0] == "acme: ok"
    assert "  ok   client: The provider knows this site by client_secret_basic." in lines
    assert all(line[2:6] in ("ok  ", "note") for line in lines[1:])


def test_a_wrong_secret_is_found_by_both_methods(upstream, configure):
    configure(client_secret="of-another-site")
    found = findings(status=1)
    assert "invalid_client" in of_level("fix", found)["client"]
    assert [asked["method"] for asked in upstream.requests("/token")] == ["GET", "POST", "POST"]


def test_the_method_that_works_is_found_and_kept(upstream, configure):
    """The provider takes the secret in the form only, and does not say so."""
    configure()
    upstream.control(token_answers=[{"status": 401, "body": {"error": "invalid_client"}}, "invalid_grant"])
    found = findings(status=0)
    assert of_level("ok", found)["client"] == "The provider knows this site by client_secret_post."
    assert of_level("note", found)["method"].endswith("client_secret_post")
    assert ProviderKeySet.objects.get().method_found == "client_secret_post"


@pytest.mark.parametrize(
    ("answer", "level", "status", "words"),
    [
        (
            {"status": 400, "body": {"error": "redirect_uri_mismatch"}},
            "fix",
            1,
            "does not know the redirect URI",
        ),
        ({"status": 400, "body": {"error": "unauthorized_client"}}, "fix", 1, "unauthorized_client"),
        ({"status": 404, "body": "gone"}, "fix", 1, "HTTP 404"),
        ("html", "fix", 1, "no answer that can be read (HTTP 200)"),
        (
            {"status": 200, "body": {"access_token": "at", "token_type": "Bearer"}},
            "fix",
            1,
            "nobody was given",
        ),
        ("500", "unasked", 2, "gave no answer"),
        ("close", "unasked", 2, "gave no answer"),
        ({"status": 400, "body": {"error": "Code is unknown"}}, "note", 0, "in words of its own"),
        ("error_200", "ok", 0, "knows this site"),
    ],
)
def test_each_answer_to_a_made_up_code_is_told_as_what_it_means(upstream, answer, level, status, words):
    upstream.control(token_answers=[answer])
    assert words in of_level(level, findings(status=status))["client"]


def test_a_provider_that_is_down_could_not_be_asked(upstream):
    upstream.control(down=True)
    found = findings(status=2)
    assert of_level("fix", found) == {}
    assert {"metadata", "endpoints"} <= set(of_level("unasked", found))


def test_a_provider_that_is_down_now_is_asked_at_the_endpoints_that_are_stored(upstream):
    findings(status=0)
    upstream.control(down=True)
    found = findings(status=2)
    assert {"metadata", "token_endpoint", "authorization_endpoint", "client"} <= set(
        of_level("unasked", found)
    )
    assert any(text.startswith("The last fetch that failed was 0 seconds ago") for *_, text in found)


def test_a_redirect_is_told_with_its_place(upstream):
    upstream.control(redirects={"/token": "https://new.example/token?x=1", "/authorize": "/login"})
    found = findings(status=1)
    said = "The token endpoint answers with a redirect to https://new.example/token, which is not followed."
    assert of_level("fix", found) == {"client": said}
    assert of_level("note", found)["token_endpoint"] == (
        f"{upstream.issuer}/token redirects to https://new.example/token, and no redirect is followed."
    )
    assert "authorization_endpoint" in of_level("ok", found)


def test_metadata_that_moved_are_told_with_their_place(upstream):
    upstream.control(redirects={"/.well-known/openid-configuration": "https://new.example/conf"})
    assert of_level("fix", findings(status=1))["metadata"] == (
        "Its metadata or keys cannot be used (redirect: to https://new.example/conf, which is not followed)."
    )


def test_a_provider_on_this_machine_needs_the_setting_that_is_named(upstream, lazyauth):
    lazyauth(ALLOW_LOOPBACK_UPSTREAMS=False)
    assert of_level("fix", findings(status=1))["metadata"] == (
        "Its metadata or keys cannot be used (not_https). "
        "On your own machine, ALLOW_LOOPBACK_UPSTREAMS lets http://127.0.0.1 pass."
    )


def test_offline_no_request_is_sent(upstream):
    found = findings("--offline", status=0)
    assert upstream.requests() == []
    assert of_level("note", found)["stored"] == "Nothing is stored of it yet."
    assert not ProviderKeySet.objects.exists()


def test_a_wrong_entry_is_told_as_the_checks_tell_it_and_nobody_is_asked(upstream, configure):
    configure(client_secert="x")
    [(level, about, text)] = findings(status=1)
    assert (level, about) == ("fix", "configuration")
    [error] = [message for message in run_checks() if "acme" in message.msg]
    assert text == f"{error.id}: {error.msg}"
    assert "client_secert" in text
    assert upstream.requests() == []


def test_what_the_checks_warn_of_is_a_note(configure):
    configure(pkce="none", nonce="none")
    assert "W015" in of_level("note", findings("--offline", status=0))["configuration"]


@pytest.mark.parametrize(("ahead", "where"), [(120, "behind"), (-120, "ahead of"), (10, "")])
def test_a_clock_that_is_wrong_is_told(upstream, ahead, where):
    upstream.control(clock=ahead)
    found = findings(status=1 if where else 0)
    said = of_level("fix", found)
    assert ("token_endpoint" in said) is bool(where)
    assert where in said.get("token_endpoint", "")


def test_another_issuer_is_told_with_both_names(upstream):
    upstream.control(metadata={"issuer": "https://other.example\n"})
    found = findings(status=1)
    assert "issuer_mismatch" in of_level("fix", found)["metadata"]
    assert of_level("fix", found)["issuer"] == (
        f"The entry says {upstream.issuer}, and its metadata https://other.example?. "
        '"issuer" must be what the metadata say, to the letter.'
    )


def test_another_name_that_the_entry_knows_is_a_note(upstream, configure):
    other = f"{upstream.issuer}/"
    configure(issuer_aliases=[other])
    upstream.control(metadata={"issuer": other})
    assert of_level("note", findings(status=0))["issuer"].endswith(f"and its metadata {other}.")


def test_a_wrong_realm_is_told_by_the_address_that_was_asked(upstream, configure):
    configure(issuer=f"{upstream.issuer}/realms/nobody")
    assert of_level("fix", findings(status=1))["metadata"] == (
        "Its metadata or keys cannot be used (not_found: HTTP 404 of "
        f"{upstream.issuer}/realms/nobody/.well-known/openid-configuration)."
    )


def test_before_the_first_migration_the_command_says_what_to_do(upstream):
    with connection.schema_editor() as editor:
        editor.alter_db_table(ProviderKeySet, ProviderKeySet._meta.db_table, "gone_away")
    try:
        with pytest.raises(CommandError, match=r"manage\.py migrate"):
            call_command("check_provider", "acme", "--offline")
    finally:
        with connection.schema_editor() as editor:
            editor.alter_db_table(ProviderKeySet, "gone_away", ProviderKeySet._meta.db_table)


def test_what_it_demands_and_this_site_lacks_is_to_be_fixed(upstream):
    upstream.control(metadata={"require_pushed_authorization_requests": True})
    assert "RFC 9126" in of_level("fix", findings(status=1))["par"]


def test_who_signs_with_the_secret_needs_no_keys(upstream, configure):
    configure(algorithms=["HS256"])
    assert "keys" in of_level("ok", findings(status=1))


def test_keys_of_no_algorithm_of_the_entry_are_to_be_fixed(upstream, configure):
    configure(algorithms=["EdDSA"])
    found = of_level("fix", findings(status=1))
    assert found["keys"] == "2 keys, of which 0 fit the algorithms of the entry."
    assert "no algorithm that the entry allows" in found["algorithms"]


@pytest.mark.parametrize(
    ("methods", "said"), [(["S256"], "It offers S256"), (None, "does not say that it knows")]
)
def test_pkce_is_told_as_published(upstream, methods, said):
    upstream.control(metadata={"code_challenge_methods_supported": methods})
    assert any(said in text for _level, about, text in findings(status=0) if about == "pkce")


def jwt_until(moment: float) -> str:
    payload = base64.urlsafe_b64encode(json.dumps({"exp": int(moment)}).encode()).rstrip(b"=").decode()
    return f"eyJhbGciOiJFUzI1NiJ9.{payload}.c2ln"


@pytest.mark.parametrize(
    ("days", "level", "about", "words"),
    [
        (-1, "fix", "configuration", "expired on"),
        (12.5, "note", "configuration", "expires on"),
        (12.5, "note", "client_secret", "good for 12 days"),
        (100.5, "ok", "client_secret", "good for 100 days"),
    ],
)
def test_a_secret_that_is_a_jwt_is_told_by_its_days(configure, days, level, about, words):
    secret = jwt_until(time.time() + days * 86_400)
    configure(client_secret=secret)
    found = findings("--offline", status=1 if level == "fix" else 0)
    assert words in of_level(level, found)[about]
    assert secret not in str(found)


@pytest.mark.parametrize("secret", ["a.b.c", "..", "no jwt", jwt_until(10**30), "e30.bnVsbA.e30"])
def test_a_secret_that_is_no_jwt_has_no_days(configure, secret):
    configure(client_secret=secret)
    assert not [about for _level, about, _text in findings("--offline", status=0) if about == "client_secret"]


def test_what_the_row_says_is_told(upstream):
    findings(status=0)
    now = timezone.now()
    ProviderKeySet.objects.update(
        notes=["end_session_endpoint: url"],
        failures=3,
        last_error="timeout",
        last_error_at=now - timedelta(minutes=5),
        signed_in_at=now - timedelta(days=3),
        failed_at=now - timedelta(hours=4),
        failure="down: unreachable",
    )
    texts = [text for _level, _about, text in findings("--offline", status=0)]
    assert {
        "Left out of its metadata: end_session_endpoint: url",
        "The last fetch that failed was 5 minutes ago (timeout, 3 in a row).",
        "Somebody signed in 3 days ago.",
        "The last sign-in that failed was 4 hours ago (down: unreachable).",
    } <= set(texts)


def test_grants_are_told_by_their_states(upstream, django_user_model):
    assert "grants" not in of_level("note", findings("--offline", status=0))
    user = django_user_model.objects.create_user("ada")

    def add(count, **values):
        for _ in range(count):
            UpstreamGrant.objects.create(user=user, provider="acme", subject="1", scope_digest="", **values)

    add(3)
    add(2, is_standing=True, refresh_token="sealed")
    add(1, state="dead")
    add(1, state="leaving", next_attempt_at=timezone.now())
    UpstreamGrant.objects.create(user=user, provider="other", subject="1", scope_digest="")
    assert of_level("note", findings("--offline", status=0))["grants"] == (
        "Grants of its people: 5 live, 1 dead, 1 leaving. Of the live ones 2 outlive a sign-in there."
    )


def test_each_endpoint_of_a_provider_is_asked_for_its_time(upstream):
    upstream.control(clock=120, metadata={"end_session_endpoint": f"{upstream.issuer}/logout"})
    asked = of_level("fix", findings(status=1))
    names = {"authorization", "token", "userinfo", "revocation", "end_session"}
    assert set(asked) == {f"{name}_endpoint" for name in names} | {"jwks_uri"}


CANARY = "cAnArY-7f3a2c91"


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 401, "body": {"error": "invalid_client", "error_description": CANARY}},
        {"status": 400, "body": {"error": CANARY, "error_uri": CANARY}},
        {"status": 200, "body": CANARY},
        {"status": 500, "body": {"error": f"server_error {CANARY}"}},
        {"status": 200, "body": {"access_token": CANARY, "refresh_token": CANARY, "token_type": "Bearer"}},
    ],
)
@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "client_secret_jwt"])
def test_i13_no_secret_is_printed_whatever_the_provider_says(upstream, configure, caplog, answer, method):
    """Neither what we sent nor what came back is in a text, the row or the log."""
    caplog.set_level("DEBUG")
    configure(client_secret=CANARY * 3, token_endpoint_auth_method=method, client_id=upstream.client_id)
    for redirects in ({}, {"/token": f"https://id.example/?code={CANARY}", "/userinfo": f"/{CANARY}"}):
        upstream.control(token_answers=[answer] * 2, redirects=redirects)
        texts = [run("acme")[1], run("acme", "--json")[1], run("acme", "--offline")[1]]
        row = str(ProviderKeySet.objects.values().get())
        shown = [text.replace(f"/{CANARY}, and no redirect", "") for text in texts]
        assert CANARY not in "".join([*shown, row, caplog.text])


def test_i13_no_private_key_is_printed(upstream, configure, caplog):
    caplog.set_level("DEBUG")
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    secret_lines = pem.splitlines()[1:-1]
    signed = {"key": pem, "key_id": "K1", "issuer": "TEAM123"}
    broken = {"key": pem.replace("\n", ""), "key_id": "K1", "issuer": "TEAM123"}
    for changes in (
        {"client_secret": None, "private_key": pem},
        {"client_secret": None, "signed_secret": signed, "token_endpoint_auth_method": "client_secret_post"},
        {"client_secret": None, "signed_secret": broken, "token_endpoint_auth_method": "client_secret_post"},
        {"client_secret": None, "private_key": pem[:-40]},
    ):
        configure(**changes)
        text = "".join([run("acme")[1], run("acme", "--json")[1], caplog.text])
        assert not [line for line in secret_lines if line in text]


def test_a_provider_without_keys_is_asked_too(upstream, settings):
    settings.LAZYAUTH["PROVIDERS"]["acme"] = upstream.oauth2_config()
    found = findings(status=0)
    assert of_level("ok", found)["client"] == "The provider knows this site by client_secret_post."
    assert "emails_endpoint" in of_level("ok", found)
    assert "keys" not in of_level("ok", found)


def test_names_that_are_not_there_or_off_or_local(settings):
    settings.LAZYAUTH["PROVIDERS"]["local"] = {"type": "password"}
    settings.LAZYAUTH["PROVIDERS"]["off"] = {"enabled": False, "anything": 1}
    [report] = check_providers(["nobody"])
    assert report.findings[0].text == "There is no provider of this name."
    assert "disabled" in findings(status=0, name="off")[0][2]
    assert findings(status=0, name="local")[0] == ("ok", "configuration", "The entry can be used.")


def test_without_names_every_provider_is_asked_and_what_must_be_fixed_counts_first(upstream, settings):
    settings.LAZYAUTH["PROVIDERS"]["wrong"] = {"issuer": "x"}
    upstream.control(down=True)
    status, text = run("--json")
    states = {report["provider"]: report["state"] for report in json.loads(text)["providers"]}
    assert states == {"demo": "ok", "other": "ok", "acme": "unasked", "wrong": "fix"}
    assert status == 1


def test_the_addresses_of_both_sign_outs_are_named_where_they_are_used(configure, upstream):
    configure(upstream_logout="ask", end_session_endpoint=f"{upstream.issuer}/bye")
    notes = of_level("note", findings("--offline", status=0))
    uri = "https://auth.example/upstream-logout/acme"
    assert notes["backchannel_logout_uri"] == f"May be registered at the provider: {uri}"
    uri = "https://auth.example/logout/signed-out"
    assert notes["post_logout_redirect_uri"] == f"To be registered at the provider: {uri}"
    configure(backchannel_logout=False)
    notes = of_level("note", findings("--offline", status=0))
    assert not {"backchannel_logout_uri", "post_logout_redirect_uri"} & set(notes)


def test_a_sign_out_that_leads_nowhere_is_to_be_fixed(configure):
    configure(upstream_logout="always")
    assert "end_session_endpoint" in of_level("fix", findings(status=1))


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({}, "It is not asked for refresh tokens: no setting uses its tokens."),
        (
            {"offline": "always"},
            "It is asked for refresh tokens by offline_access, and for consent if it gives none.",
        ),
        (
            {
                "offline": "always",
                "offline_scopes": [],
                "offline_params": {"access_type": "offline"},
                "offline_prompt": "always",
            },
            "It is asked for refresh tokens by access_type=offline, and for consent at each sign-in.",
        ),
    ],
)
def test_it_says_how_refresh_tokens_are_asked_for(configure, config, said):
    configure(**config)
    assert of_level("note", findings("--offline", status=0))["offline"] == said


def test_it_says_that_the_scope_for_refresh_tokens_is_not_listed(upstream, configure):
    """RFC 8414 §2."""
    configure(offline="always")
    texts = {text for _, about, text in findings(status=0) if about == "offline"}
    assert len(texts) == 1
    upstream.control(metadata={"scopes_supported": ["openid"]})
    more = {text for _, about, text in findings(status=0) if about == "offline"} - texts
    assert more == {
        "It does not list the scope offline_access. If it refuses that, set offline_scopes to []."
    }


def test_a_domain_is_asked_past_the_cache_for_what_it_publishes_now(sso):
    """Spec 11: a company domain can be tried before its people do."""
    found = findings(status=0, name="sso:acme.example")
    assert of_level("ok", found) == of_level("ok", found) | {
        "configuration": "The domain may sign people in.",
        "metadata": "Its metadata and keys were fetched.",
        "client": "The provider knows this site by its client id alone.",
    }
    assert of_level("note", found)["redirect_uri"].endswith("/callback/sso:acme.example")
    sso.control(metadata={"issuer": "https://elsewhere.example"})
    found = findings(status=1, name="sso:acme.example")
    assert "issuer_mismatch" in of_level("fix", found)["metadata"]


def test_a_domain_that_may_sign_nobody_in_is_told_so_and_not_asked(sso):
    for name in ("sso:corp.example", "sso:", "sso:127.0.0.1"):
        found = findings("--offline", status=1, name=name)
        assert [about for level, about, _text in found if level == "fix"] == ["configuration"]
    assert sso.requests("/.well-known/lazyauth-sso") == []


def test_without_names_every_configured_domain_is_asked(sso):
    reports = check_providers(offline=True)
    assert [report.provider for report in reports] == ["demo", "other", "acme", "sso:acme.example"]
