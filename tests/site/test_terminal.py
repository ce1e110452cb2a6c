"""Spec 10, Terminal: what the commands of operators say, and how they end."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command, load_command_class

import django_lazyauth
from django_lazyauth.kit.secret_digest import secret_matches
from django_lazyauth.models import ProviderIdentity
from django_lazyauth.toolkit.models import get_application_model
from tests.support import devices
from tests.support.journey import OAuthClient, redeem
from tests.support.recorded import code_for

pytestmark = pytest.mark.django_db

COMMANDS = sorted(
    path.stem
    for path in (Path(django_lazyauth.__file__).parent / "management" / "commands").glob("*.py")
    if path.stem != "__init__"
)


def run(*line, **options) -> str:
    out = StringIO()
    call_command(*line, stdout=out, **options)
    return out.getvalue()


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_has_an_example(name):
    parser = load_command_class("django_lazyauth", name).create_parser("manage.py", name)
    assert f"Example: manage.py {name}" in " ".join(parser.format_help().split())


@pytest.mark.parametrize(
    "name", ["deliver_logouts", "refresh_provider_keys", "rotate_vault_keys", "sweep_lazyauth"]
)
def test_what_a_script_reads_is_json(name):
    assert isinstance(json.loads(run(name, "--json")), dict)


class Screen(StringIO):
    """A terminal that somebody watches."""

    def isatty(self):
        return True


def test_long_work_shows_how_far_it_is_where_somebody_watches(client_):
    code_for(client_)
    screen, log = Screen(), StringIO()
    assert "sealed anew" in run("rotate_vault_keys", stderr=screen)
    assert "\r\x1b[K[########################] sign-ins: 1 of 1" in screen.getvalue()
    run("rotate_vault_keys", stderr=log)
    run("sweep_lazyauth", stderr=log)
    assert not log.getvalue()


def test_a_sweep_names_what_it_is_at():
    """All kinds are shown, and the last one is not told as done before it is."""
    screen = Screen()
    counts = json.loads(run("sweep_lazyauth", "--json", stderr=screen))
    assert list(counts)[-1] in screen.getvalue()
    assert f"{len(counts) - 1} of {len(counts)}" in screen.getvalue()
    assert f"{len(counts)} of {len(counts)}" not in screen.getvalue()


@pytest.mark.parametrize("name", ["check_provider", "refresh_provider_keys"])
def test_an_unknown_provider_is_told_in_one_line_with_those_that_there_are(name):
    with pytest.raises(CommandError) as error:
        run(name, "nosuch")
    assert error.value.returncode == 2
    assert str(error.value).startswith("no provider")
    assert "\n" not in str(error.value)
    if name == "check_provider":
        assert str(error.value) == "no provider nosuch; there are demo, other"


class TestCreateClient:
    def test_a_public_client_signs_people_in(self):
        text = run("createlazyauthclient", "My app", "--redirect-uri", "https://client.example/cb")
        row = get_application_model().objects.get()
        assert text.strip() == f"client_id: {row.client_id}"
        client = OAuthClient(row.client_id)
        assert redeem(client, code_for(client)).status_code == 200

    def test_a_device_shows_a_code(self, lazyauth):
        """RFC 8628: it needs no redirect URI, and has no secret."""
        lazyauth(DEVICE_FLOW=True)
        run("createlazyauthclient", "Television", "--device", "--client-id", "television")
        assert devices.ask("television").status_code == 200

    def test_a_secret_is_printed_once_and_kept_as_a_digest(self):
        line = (
            "createlazyauthclient",
            "My app",
            "--redirect-uri",
            "https://client.example/cb",
            "--confidential",
        )
        found = json.loads(run(*line, "--client-id", "mine", "--json"))
        row = get_application_model().objects.get(client_id="mine")
        assert secret_matches(found["client_secret"], row.client_secret)
        assert found["client_secret"] not in row.client_secret
        client = OAuthClient("mine", found["client_secret"])
        assert redeem(client, code_for(client)).status_code == 200
        with pytest.raises(CommandError, match="there is a client mine already") as error:
            run(*line, "--client-id", "mine")
        assert error.value.returncode == 1

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ((), "needs --redirect-uri"),
            (("--redirect-uri", "http://client.example/cb"), "http://client.example/cb"),
            (("--machine", "--client-id", "a\nb"), "printable ASCII"),
            (("--machine", "--client-id", "a" * 256), "255"),
        ],
        ids=["no_uri", "bad_uri", "two_lines", "long_id"],
    )
    def test_what_cannot_be_is_told(self, options, said):
        with pytest.raises(CommandError, match=said) as error:
            run("createlazyauthclient", "My app", *options)
        assert error.value.returncode == 2
        assert not get_application_model().objects.exists()

    @pytest.mark.parametrize("name", ["", " ", "a" * 256, "a\nb"], ids=["none", "blank", "long", "two_lines"])
    def test_a_name_that_no_page_can_show_is_refused(self, name):
        with pytest.raises(CommandError, match="a name has 1 to 255 characters") as error:
            run("createlazyauthclient", name, "--machine")
        assert error.value.returncode == 2


@pytest.mark.parametrize(
    "line",
    [
        ("createlazyauthclient", "\udcff", "--machine"),
        ("createlazyauthclient", "a", "--redirect-uri", "https://client.example/cb", "--client-id", "\udcff"),
        ("export_person", "\udcff"),
        ("erase_person", "\udcff", "--yes"),
        ("check_provider", "\udcff"),
        ("issue_initial_access_token", "--note", "\udcff"),
    ],
    ids=["name", "client_id", "export", "erase", "provider", "note"],
)
def test_bytes_that_are_no_text_are_told_in_one_line(line):
    """I18: Python reads such a byte of a command line as a surrogate, which no database takes."""
    with pytest.raises(CommandError, match=r"cannot be read: .*\\udcff") as error:
        run(*line)
    assert error.value.returncode == 2


@pytest.mark.parametrize("command", ["sweep_lazyauth", "rotate_vault_keys"])
@pytest.mark.parametrize("size", ["0", "-5", "x", "9" * 30], ids=["none", "less", "word", "huge"])
def test_a_batch_has_bounds(command, size):
    with pytest.raises(CommandError, match="it is a number from 1 to 100,000"):
        run(command, f"--batch-size={size}")


class TestPeople:
    @pytest.mark.parametrize("term", ["ada@people.example", "ada", "key"])
    def test_what_is_held_is_printed(self, client_, term):
        redeem(client_, code_for(client_))
        user = get_user_model().objects.get()
        found = json.loads(run("export_person", str(user.pk) if term == "key" else term))
        assert found["account"]["email"] == "ada@people.example"

    def test_a_person_is_erased(self, client_):
        redeem(client_, code_for(client_))
        found = json.loads(run("erase_person", "ada@people.example", "--yes", "--json"))
        assert (found["sessions_ended"], found["identities_deleted"]) == (1, 1)
        assert not get_user_model().objects.exists()

    def test_nobody_is_erased_without_a_word(self, client_):
        redeem(client_, code_for(client_))
        with pytest.raises(CommandError, match="give --yes") as error:
            run("erase_person", "ada@people.example")
        assert error.value.returncode == 2
        assert get_user_model().objects.exists()

    @pytest.mark.parametrize("typed", ["ada@people.example\n", "no\n", ""], ids=["name", "other", "end"])
    def test_the_question_is_no_part_of_the_answer(self, client_, monkeypatch, typed):
        """A script reads JSON from the output, while a person answers at the terminal."""
        redeem(client_, code_for(client_))
        user = get_user_model().objects.get()
        terminal = StringIO(typed.replace("ada@people.example", str(user)))
        terminal.isatty = lambda: True
        monkeypatch.setattr("sys.stdin", terminal)
        said = StringIO()
        if typed.startswith("ada"):
            found = json.loads(run("erase_person", "ada@people.example", "--json", stderr=said))
            assert found["user"] == str(user.pk)
        else:
            with pytest.raises(CommandError, match="nothing was erased"):
                run("erase_person", "ada@people.example", "--json", stderr=said)
            assert get_user_model().objects.exists()
        assert f"Type {user} to erase them for ever:" in said.getvalue()

    @pytest.mark.parametrize("command", ["export_person", "erase_person"])
    def test_who_is_meant_must_be_clear(self, command):
        with pytest.raises(CommandError, match="nobody is called nosuch"):
            run(command, "nosuch")
        users = [get_user_model().objects.create_user(f"u{number}") for number in range(2)]
        for number, user in enumerate(users):
            ProviderIdentity.objects.create(
                user=user, provider="demo", subject=f"s{number}", email="both@x.example"
            )
        with pytest.raises(CommandError, match=r"2 people are called both@x\.example") as error:
            run(command, "both@x.example")
        assert error.value.returncode == 1
        assert get_user_model().objects.count() == 2

    @pytest.mark.parametrize(
        "command", [("export_person",), ("erase_person", "--yes")], ids=["export", "erase"]
    )
    @pytest.mark.parametrize("term", ["", "  "], ids=["empty", "blank"])
    def test_nothing_is_nobodys_name(self, command, term):
        """A script whose variable is empty must not erase the one person whose account has no address."""
        user = get_user_model().objects.create_user("ada")
        ProviderIdentity.objects.create(user=user, provider="demo", subject="ada", email="")
        with pytest.raises(CommandError, match="nobody is called"):
            run(command[0], term, *command[1:])
        assert get_user_model().objects.filter(pk=user.pk).exists()

    @pytest.mark.parametrize(
        "command", [("export_person",), ("erase_person", "--yes")], ids=["export", "erase"]
    )
    def test_an_address_that_somebody_claims_at_a_provider_does_not_stand_for_its_owner(self, command):
        """I6: a person without an account at a provider is found beside who claims their address there."""
        get_user_model().objects.create_user("ada", email="Ada@people.example")
        mallory = get_user_model().objects.create_user("mallory")
        ProviderIdentity.objects.create(
            user=mallory, provider="demo", subject="m", email="ada@people.example", email_verified=False
        )
        with pytest.raises(CommandError, match="2 people are called"):
            run(command[0], "ada@people.example", *command[1:])
        assert get_user_model().objects.count() == 2
