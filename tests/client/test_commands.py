"""``lazyauth …`` as a person and a shell script see it: what is printed where, and the exit code."""

from __future__ import annotations

import json
import time

import keyring as keyrings
import pytest
from keyring.backends.fail import Keyring as NoKeyring

from django_lazyauth.client import Account, Store
from django_lazyauth.client.commands import main
from tests.client.conftest import tokens


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A machine without a keyring, whose person allowed a file."""
    before = keyrings.get_keyring()
    keyrings.set_keyring(NoKeyring())
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("LAZYAUTH_PLAINTEXT", "1")
    yield tmp_path
    keyrings.set_keyring(before)


@pytest.fixture
def run(home, capsys):
    """Return exit code, output and errors of one command."""

    def running(*arguments, **options):
        capsys.readouterr()
        code = main(arguments, **options)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return running


@pytest.fixture
def ada(run, server):
    """Signed in, with a token that ended a while ago."""
    store = Store(warn=lambda _: None)
    account = Account(server.url, "tool", f"{server.url}/token", f"{server.url}/revoke")
    store.save("ada", account, tokens(expires_at=time.time() - 7300))
    store.use("ada")
    return store


def test_token_prints_a_fresh_token_and_nothing_else(run, ada, server):
    code, out, err = run("token")
    assert (code, out) == (0, "access-1\n")
    assert "access-" not in err
    assert "refresh-" not in err
    assert run("token")[1] == "access-1\n"
    assert run("token", "--force")[1] == "access-2\n"
    assert len(server.forms) == 2


def test_status_says_in_words_when_the_token_ends_and_never_shows_it(run, ada, server):
    code, out, _ = run("status")
    assert code == 0
    assert f"ada at {server.url}" in out
    assert "The access token ended 2 hours ago." in out
    assert "a file of mode 0600" in out
    assert "access-0" not in out
    assert "refresh-0" not in out


def test_logout_ends_the_session_at_the_server_before_it_forgets(run, ada, server):
    revoked = []
    server.posts["/revoke"] = lambda form: (
        (503, {}) if not revoked.append(form) and len(revoked) == 1 else (200, "")
    )
    code, _, err = run("logout")
    assert code == 3
    assert "--local" in err
    assert run("logout")[:2] == (0, "Signed out ada.\n")
    assert [form["token"] for form in revoked] == ["refresh-0"] * 2
    assert Store().accounts() == []
    assert run("status")[0] == 1


def test_logout_can_forget_the_tokens_only(run, ada, server):
    assert run("logout", "--local", "--account", "ada")[0] == 0
    assert Store().accounts() == []


def test_accounts_are_listed_chosen_and_forgotten(run, ada):
    ada.save("bob", ada.record("ada").account, tokens())
    assert run("accounts")[1] == "* ada\n  bob\n"
    assert run("accounts", "use", "bob")[0] == 0
    assert run("accounts", "current")[1] == "bob\n"
    assert run("accounts", "remove", "bob")[0] == 0
    assert run("accounts", "list")[1] == "  ada\n"
    assert run("accounts", "use", "bob")[0] == 1
    assert run("accounts", "current")[0] == 1


@pytest.mark.parametrize(
    ("answer", "code"), [((400, {"error": "invalid_grant"}), 1), ((503, {}), 3), ((200, "<html>"), 3)]
)
def test_exit_codes_tell_a_script_whether_to_try_again(run, ada, server, answer, code):
    server.answer = lambda _: answer
    found, out, err = run("token")
    assert (found, out) == (code, "")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments", [(), ("login",), ("accounts", "use"), ("accounts", "list", "ada"), ("fly",)]
)
def test_a_command_that_is_not_understood_exits_with_2(run, arguments):
    with pytest.raises(SystemExit) as ended:
        run(*arguments)
    assert ended.value.code == 2


def test_login_without_keyring_and_permission_keeps_nothing_and_exits_with_4(run, home, server, monkeypatch):
    monkeypatch.delenv("LAZYAUTH_PLAINTEXT")
    server.documents["/.well-known/oauth-authorization-server"] = {
        "issuer": server.url,
        "token_endpoint": f"{server.url}/token",
        "device_authorization_endpoint": f"{server.url}/device",
    }
    device = {"device_code": "d", "user_code": "ABCD", "verification_uri": server.url, "interval": 0.01}
    server.posts["/device"] = lambda _: (200, device)
    arguments = ("login", server.url, "--device", "--client-id", "tool", "--account", "ada")
    code, out, err = run(*arguments)
    assert (code, out) == (4, "")
    assert err == (
        "This machine has no keyring. LAZYAUTH_PLAINTEXT=1 keeps tokens in a file that only you can read.\n"
    ), "nobody is sent to a browser for nothing"
    code, out, err = run("--plaintext", *arguments)
    assert (code, out) == (0, "Signed in as ada.\n")
    assert f"Open {server.url} and type the code ABCD" in err
    assert "access-1" not in err
    kept = json.loads((home / "lazyauth" / "accounts" / "ada.json").read_text())
    assert kept["tokens"]["access_token"] == "access-1"


def test_another_tool_runs_the_commands_under_its_name_with_its_server(run, home, server):
    code, _, err = run("login", "--device", service="mytool", url=server.url, client_id="mine")
    assert code == 1
    assert "no metadata" in err
    assert not (home / "lazyauth").exists()
