"""What operators do on a site where people are signed in: ``rotate-keys.md``, ``personal-data.md``, ``incident.md``."""

from __future__ import annotations

import json
import re

import httpx
import jwt
import pytest
from bs4 import BeautifulSoup

from tests.browser.client import OAuthClient
from tests.support.reader import ROOT, Reader, blocks_of

from .person import ADDRESS, PASSWORD, Person, tokens

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

OPERATOR = "operator"


class Site:
    """The site of a reader, with a client, and the tokens of somebody who registered."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.base = reader.mine("http://127.0.0.1:8000")
        self.client = OAuthClient(f"{self.base}/", "app", f"{self.base}/health")
        reader.type(
            f"python manage.py createlazyauthclient App --client-id app --redirect-uri {self.base}/health"
        )
        self.start()

    def start(self) -> None:
        self.reader.type(self.reader.mine("python manage.py runserver"))

    def restart(self, **environment: str) -> None:
        self.reader.close_terminal("runserver")
        self.reader.environment = self.reader.environment | environment
        self.start()

    def register(self) -> dict[str, str]:
        with Person(self.reader) as person:
            return tokens(person, self.client, person.sign_up(self.client.url()), f"{self.base}/token")

    def sign_in(self) -> dict[str, str]:
        with Person(self.reader) as person:
            return tokens(person, self.client, person.sign_in(self.client.url()), f"{self.base}/token")

    def refresh(self, token: str) -> httpx.Response:
        form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": "app"}
        return httpx.post(f"{self.base}/token", data=form, trust_env=False)

    def userinfo(self, issued: dict[str, str]) -> int:
        bearer = {"Authorization": f"Bearer {issued['access_token']}"}
        return httpx.get(f"{self.base}/userinfo", headers=bearer, trust_env=False).status_code


def test_keys_are_rotated_while_people_stay_signed_in(site):
    """I10, I12: what the old keys signed and sealed is good until it ends."""
    page = "how-to/rotate-keys.md"
    site.type("set -a; . ./.env; set +a")
    site.environment["LAZYAUTH_ISSUER"] = site.mine("http://127.0.0.1:8000/")
    # This machine may be slow to start the site, and the retry below must come within the grace.
    site.write("mysite/settings.py", 'LAZYAUTH["REFRESH_GRACE"] = 300\n', end=True)
    running = Site(site)
    before = running.register()
    answer = running.refresh(before["refresh_token"]).json()

    def kid(issued: dict[str, str]) -> str:
        return jwt.get_unverified_header(issued["access_token"])["kid"]

    site.keep = {"NEW": r"^([A-Za-z0-9+/=]{100,})$", "VAULT": r"^(2027-01:\S+)$"}
    old, old_vault = (site.environment[f"LAZYAUTH_{name}_KEYS"] for name in ("SIGNING", "VAULT"))
    site.follow(page, "Signing keys")
    [block, seal] = [block for block in blocks_of(page) if block.heading == "Vault keys"]
    site.do(block)
    new, new_vault = site.environment["NEW"], site.environment["VAULT"]
    # 1. The new key is appended; that of the vault comes first.
    running.restart(LAZYAUTH_SIGNING_KEYS=f"{old},{new}", LAZYAUTH_VAULT_KEYS=f"{new_vault},{old_vault}")
    published = httpx.get(f"{running.base}/.well-known/jwks.json", trust_env=False).json()["keys"]
    assert kid(running.sign_in()) == kid(before) != published[-1]["kid"]
    site.do(seal)
    # 2. It moves to the front; the old key of the vault goes.
    running.restart(LAZYAUTH_SIGNING_KEYS=f"{new},{old}", LAZYAUTH_VAULT_KEYS=new_vault)
    assert kid(running.sign_in()) == published[-1]["kid"]
    assert running.userinfo(before) == 200
    assert running.refresh(before["refresh_token"]).json() == answer


def test_a_person_is_exported_and_erased(site):
    """Spec 10: what is held is printed, and nothing is left."""
    running = Site(site)
    issued = running.register()
    # There is no terminal that the command could ask.
    site.names |= {
        "erase_person ada@example.org": f"erase_person {ADDRESS} --yes",
        "ada@example.org": ADDRESS,
    }
    site.follow("how-to/personal-data.md")
    exported = site.read("ada.json")
    assert json.loads(exported)["account"]["email"] == ADDRESS
    assert issued["refresh_token"] not in exported
    assert running.refresh(issued["refresh_token"]).status_code == 400
    assert running.userinfo(issued) == 401


def test_everything_of_a_person_and_of_a_client_ends(site):
    """I21: by the terminal, and by the admin."""
    page = "how-to/incident.md"
    operator = f"DJANGO_SUPERUSER_PASSWORD='{PASSWORD}' python manage.py createsuperuser --no-input"
    site.type(f"{operator} --username {OPERATOR} --email operator@example.org")
    running = Site(site)
    first = running.register()
    site.names["ada@example.org"] = ADDRESS
    site.follow(page, "End everything of one person")
    assert running.userinfo(first) == 401
    assert running.refresh(first["refresh_token"]).json()["error"] == "invalid_grant"

    second = running.sign_in()
    section = (ROOT / "docs" / page).read_text().split("## End everything of one client")[1].split("## ")[0]
    chosen = re.findall(r'choose "([^"]+)"', section)
    assert len(chosen) == 2
    with Person(site, base_url=running.base) as admin:
        admin.submit(admin.http.get("/admin/"), username=OPERATOR, password=PASSWORD)
        for label in chosen:
            act(admin, label)
            assert running.userinfo(second) == 401
    assert running.refresh(second["refresh_token"]).status_code in (400, 401)


def act(admin: Person, label: str) -> None:
    """Tick the client in the list, choose *label*, and confirm."""
    page = admin.http.get("/admin/oauth2_provider/application/")
    soup = BeautifulSoup(page.text, "html.parser")
    [option] = [one["value"] for one in soup.find_all("option") if one.text.strip() == label]
    [row] = [
        line.find("input", {"name": "_selected_action"})["value"]
        for line in soup.select("#result_list tbody tr")
        if "App" in line.text
    ]
    token = soup.find("input", {"name": "csrfmiddlewaretoken"})["value"]
    form = {"action": option, "_selected_action": row, "csrfmiddlewaretoken": token}
    asked = admin.http.post(str(page.url), data=form)
    question = BeautifulSoup(asked.text, "html.parser").select_one("#content form") or pytest.fail(asked.text)
    fields = {one["name"]: one.get("value", "") for one in question.find_all("input") if one.get("name")}
    done = admin.http.post(str(asked.url), data=fields | {"reason": "It was taken over"})
    assert done.status_code == 200
    assert "messagelist" in done.text, done.text
