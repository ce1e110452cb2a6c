"""``docs/how-to/command-line.md``: ``lazyauth`` in the terminal, and programs that call an API as the person."""

from __future__ import annotations

import pytest

from tests.support.reader import Reader, blocks_of, commands, shown

from .conftest import own_browser
from .person import ADDRESS, Person

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PAGE = "how-to/command-line.md"
#: A machine with a keyring, which is a file here.
KEYRING = """
import json
from pathlib import Path

from keyring.backend import KeyringBackend

FILE = Path(__file__).with_name("keyring.json")


class Backend(KeyringBackend):
    priority = 1

    def _all(self):
        return json.loads(FILE.read_text()) if FILE.exists() else {}

    def get_password(self, service, name):
        return self._all().get(f"{service} {name}")

    def set_password(self, service, name, text):
        FILE.write_text(json.dumps(self._all() | {f"{service} {name}": text}))

    def delete_password(self, service, name):
        kept = self._all()
        kept.pop(f"{service} {name}", None)
        FILE.write_text(json.dumps(kept))
"""


def with_keyring(site: Reader) -> None:
    site.write("file_keyring.py", KEYRING)
    site.environment = site.environment | {
        "PYTHON_KEYRING_BACKEND": "file_keyring.Backend",
        "PYTHONPATH": str(site.folder),
        "XDG_DATA_HOME": str(site.folder),
    }


def test_a_person_signs_in_for_the_terminal_and_for_programs(site):
    """Spec 11, the client side: RFC 8252, and the scopes that the resource names (RFC 9728 §2)."""
    base = site.mine("http://127.0.0.1:8000")
    site.names |= {
        "https://auth.example.org": base,
        "https://api.example.org/things": f"{base}/notes",
        "ada@example.org": ADDRESS,
        # The machine may be slow.
        "in 9 minutes": "in … minutes",
    }
    needs = {"/notes": {"scopes": ["notes:read"]}}
    site.write("mysite/settings.py", f'LAZYAUTH["PROTECTED_RESOURCES"] = {needs}\n', end=True)
    with_keyring(site)
    opened = own_browser(site)
    site.type(site.mine("python manage.py runserver"))
    [install] = [block for block in blocks_of(PAGE) if "pip install" in block.text]
    site.do(install)
    with Person(site) as person:
        [terminal] = [block for block in blocks_of(PAGE) if block.heading == "In the terminal"]
        [(login, said), *rest] = commands(site.mine(terminal.text))
        site.type(login)
        person.sign_up(opened())
        assert site.wait_for_end(login) == 0, site.log(login)
        assert shown(said).search(site.log(login))
        for command, said in rest:
            site.type(command, said)
        assert site.environment["TOKEN"].count(".") == 2

        (site.folder / "opened").unlink()
        site.follow(PAGE, "In a program")
        person.sign_in(opened())
        assert site.wait_for_end("things.py") == 0, site.log("things.py")
    assert "Read your notes" in person.asks
    assert "Buy milk" in site.log("things.py")
    site.keep = {"FRESH": r"(\S+\.\S+\.\S+)"}
    site.follow(PAGE, "A fresh access token")
    assert site.environment["FRESH"]
    site.type("keyring set mytool token <<< an-old-token")
    site.follow(PAGE, "Move in from one slot")
    assert "default" in site.type(
        "python -c 'from django_lazyauth.client import Store; print(Store(service=\"mytool\").accounts())'"
    )
