"""Spec 11, First ten minutes: what a site has without being set up, on the machine of a developer and nowhere else."""

from __future__ import annotations

import io
import stat
from uuid import UUID

import pytest
from django.core.checks import run_checks
from django.core.management import CommandError, call_command
from django.urls import include, path

from django_lazyauth.checks import TAG
from django_lazyauth.conf import development
from django_lazyauth.kit.crypto.development import _kept, development_keys, key_file
from django_lazyauth.kit.crypto.new_keys import in_one_line, new_pem
from django_lazyauth.providers import password_mails
from django_lazyauth.tokens.keys import parse_signing_key, signing_algorithms
from django_lazyauth.toolkit.moved import dot_module
from django_lazyauth.vault.cipher import AesGcmCipher, Place, parse_key, vault_keys

PLACE = Place("UpstreamToken", UUID("01890000-0000-7000-8000-000000000001"), "google", "access_token")
LOOPBACK = "http://127.0.0.1:8000/"


class WithoutMail:
    """The settings of a project that names no mail backend. The runner of the tests names one in the real ones."""

    def __init__(self, settings):
        self.settings = settings

    @property
    def DEBUG(self):  # noqa: N802 - the name of the setting
        return self.settings.DEBUG

    def is_overridden(self, name):
        assert name == "EMAIL_BACKEND"
        return False


@pytest.fixture
def machine(settings, tmp_path, monkeypatch):
    """A site for development whose settings name no keys and no mail backend."""
    settings.DEBUG = True
    settings.BASE_DIR = tmp_path
    settings.LAZYAUTH = {
        "ISSUER": LOOPBACK,
        "ALLOW_LOOPBACK_UPSTREAMS": True,
        "PROVIDERS": {"password": {"type": "password"}},
    }
    monkeypatch.setattr(development, "settings", WithoutMail(settings))
    return settings


def ids(*, deploy: bool = False) -> set[str]:
    return {message.id for message in run_checks(tags=[TAG], include_deployment_checks=deploy)}


def test_keys_are_made_once_and_kept_where_only_the_owner_reads_them(machine):
    assert signing_algorithms() == ("ES256", "RS256")
    assert [key.key_id for key in vault_keys()] == ["development", "derived"]
    sealed = AesGcmCipher().seal("token", PLACE)
    assert AesGcmCipher().open(sealed, PLACE) == "token"
    file = key_file()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert (file.parent / ".gitignore").read_text() == "*\n"
    before = file.read_text()
    kept = development_keys()
    _kept.cache_clear()  # As in a process that starts later.
    assert development_keys() == kept
    assert file.read_text() == before


@pytest.mark.parametrize(
    ("debug", "issuer"), [(False, LOOPBACK), (True, "https://auth.example"), (True, "http://auth.example")]
)
def test_nowhere_else_are_keys_made(machine, debug, issuer):
    machine.DEBUG = debug
    machine.LAZYAUTH = {**machine.LAZYAUTH, "ISSUER": issuer}
    assert not key_file().exists()
    assert [key.key_id for key in vault_keys()] == ["derived"]
    assert "lazyauth.E005" in ids()
    assert not key_file().exists()


def test_a_folder_that_cannot_be_written_is_told_by_the_checks(machine, tmp_path):
    (tmp_path / ".lazyauth").write_text("in the way")
    assert "lazyauth.E005" in ids()


def test_the_checks_say_what_is_for_development_only_and_deploy_refuses_each(machine):
    assert ids() == {"lazyauth.I001"}
    assert {f"lazyauth.E{number}" for number in (101, 106, 107, 113)} <= ids(deploy=True)


def test_the_mail_with_a_code_is_printed(machine, capsys):
    password_mails.send_mail("register", to="ada@example.org", code="ABCD1234", minutes=10)
    assert "ABCD-1234" in capsys.readouterr().out


def test_a_mail_backend_that_the_site_names_is_used(machine, monkeypatch, mailoutbox, capsys):
    monkeypatch.undo()
    password_mails.send_mail("register", to="ada@example.org", code="ABCD1234", minutes=10)
    assert len(mailoutbox) == 1
    assert capsys.readouterr().out == ""


# -- lazyauth_init -----------------------------------------------------------------------------------------


def init(*line: str) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    call_command("lazyauth_init", *line, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def variables(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines())


@pytest.fixture
def nothing_set(db, settings):
    """The command runs before there is a ``LAZYAUTH`` or an include."""
    del settings.LAZYAUTH
    settings.ROOT_URLCONF = "django.contrib.auth.urls"
    return settings


def test_the_block_and_the_environment_make_a_site(nothing_set, tmp_path, monkeypatch):
    file = tmp_path / ".env"
    providers = ["--provider=google", "--provider=corp=https://login.corp.example", "--provider=password"]
    block, steps = init("--no-input", "--issuer=https://example.org/oauth", *providers, f"--env-file={file}")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    given = variables(file.read_text())
    for name, value in given.items():
        assert not set(value) & set(" \"'\\$")
        monkeypatch.setenv(name, value or "set later")
    found: dict[str, object] = {}
    exec(block, found)
    nothing_set.LAZYAUTH = found["LAZYAUTH"]
    assert ids() == set()
    assert signing_algorithms() == ("ES256", "RS256")
    assert list(nothing_set.LAZYAUTH["PROVIDERS"]) == ["google", "corp", "password"]
    assert "https://example.org/oauth/callback/google" in steps
    assert 'path("oauth/", include("django_lazyauth.urls"))' in steps
    assert given["LAZYAUTH_VAULT_KEYS"] not in block + steps


def test_what_is_mounted_already_decides_the_redirect_uri(db, settings):
    del settings.LAZYAUTH
    _block, steps = init("--no-input", "--issuer=https://auth.example/", "--provider=google")
    assert "https://auth.example/callback/google" in steps
    assert "urlpatterns" not in steps


def test_clients_that_are_here_go_on_calling_people_as_they_do(nothing_set, application):
    """Spec 8.8: a change orphans accounts at clients. A new site has none."""
    assert '"SUBJECT_TYPE": "public"' in init("--no-input")[0]
    application.delete()
    assert '"SUBJECT_TYPE": "opaque"' in init("--no-input")[0]


def test_keys_that_may_be_in_use_are_not_overwritten(nothing_set, tmp_path):
    file = tmp_path / ".env"
    file.write_text("LAZYAUTH_VAULT_KEYS=mine\n")
    with pytest.raises(CommandError, match="may hold keys") as refused:
        init("--no-input", f"--env-file={file}")
    assert refused.value.returncode == 1
    assert file.read_text() == "LAZYAUTH_VAULT_KEYS=mine\n"


def test_without_options_it_asks(nothing_set, monkeypatch):
    answers = iter(["https://auth.example/", "google okta", "https://corp.okta.example"])
    monkeypatch.setattr("builtins.input", lambda: next(answers))
    text, asked = init()
    assert '"issuer": "https://corp.okta.example"' in text
    assert "OKTA_CLIENT_ID=" in asked
    assert "OKTA_CLIENT_ID=" not in text, "the block is appended to a Python module"
    assert "MIGHAg" not in text
    assert "Issuer of okta" in asked


def test_a_provider_on_this_machine_is_let_in(nothing_set):
    assert (
        "ALLOW_LOOPBACK_UPSTREAMS" not in init("--no-input", "--provider=corp=https://login.corp.example")[0]
    )
    found: dict[str, object] = {}
    exec(init("--no-input", "--provider=corp=http://localhost:8080/realms/corp")[0], found)
    assert found["LAZYAUTH"]["ALLOW_LOOPBACK_UPSTREAMS"] is True


@pytest.mark.parametrize(
    "line", [["--issuer=ftp://x"], ["--issuer=https://a/\"'"], ["--provider=corp"], ["--provider=Corp!"]]
)
def test_what_makes_no_site_is_refused_in_one_line(nothing_set, line):
    with pytest.raises(CommandError) as refused:
        init("--no-input", *line)
    assert refused.value.returncode == 2
    assert "\n" not in str(refused.value)


def test_a_vault_key_is_made_where_nothing_is_set(nothing_set):
    out, err = io.StringIO(), io.StringIO()
    call_command("generate_vault_key", "--id=2027-01", stdout=out, stderr=err)
    key = out.getvalue().strip()
    assert parse_key(key).key_id == "2027-01"
    assert key not in err.getvalue()


# -- warnings of django-oauth-toolkit ----------------------------------------------------------------------


def toolkit_warnings() -> set[str]:
    found = run_checks(tags=["security"], include_deployment_checks=True)
    return {message.id for message in found if str(message.id).startswith("oauth2_provider.")}


def urlconf(*patterns):
    return type("Urls", (), {"urlpatterns": [path("", include("django_lazyauth.urls")), *patterns]})


def test_warnings_about_endpoints_that_are_not_served_are_not_shown(settings):
    settings.ROOT_URLCONF = urlconf()
    assert toolkit_warnings() == set()


def test_what_is_served_of_the_toolkit_keeps_its_warnings(settings):
    from oauth2_provider import urls as stock
    from oauth2_provider.contrib.rest_framework import OAuth2Authentication
    from rest_framework.views import APIView

    protected_resource = dot_module("decorators", moves_to="resource_server").protected_resource

    class Protected(APIView):
        authentication_classes = [OAuth2Authentication]

    for served in (
        path("o/", include(stock)),
        path("api", Protected.as_view()),
        path("page", protected_resource()(lambda request: None)),
    ):
        settings.ROOT_URLCONF = urlconf(served)
        assert "oauth2_provider.W004" in toolkit_warnings()
    settings.ROOT_URLCONF = urlconf()
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "oauth2_provider.middleware.OAuth2TokenMiddleware"]
    assert "oauth2_provider.W004" in toolkit_warnings()


def test_errors_of_the_toolkit_are_always_shown(settings):
    settings.ROOT_URLCONF = urlconf()
    settings.OAUTH2_PROVIDER = {"COMPLIANT_BCP_RFC9700_PKCE_REQUIRED": True, "PKCE_REQUIRED": False}
    assert toolkit_warnings() == {"oauth2_provider.E005"}


def test_a_key_in_one_line_is_the_key_of_its_pem():
    """``.env`` files have no lines inside a value."""
    pem = new_pem("ES256")
    assert "\n" not in in_one_line(pem)
    assert parse_signing_key(in_one_line(pem)).kid == parse_signing_key(pem).kid
