"""``make demo``: the whole flow against real processes, with what stands in the site's database at each step.

Every line that is printed was checked; the first that does not hold ends the demo with its reason.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import requests
from authlib.integrations.base_client import OAuthError
from rich.console import Console
from rich.text import Text

from . import demo_agent
from .demo_client import Browser, Client, PageSeen
from .demo_terminal import Terminal, code_in
from .servers import Stage
from .upstream.people import PEOPLE

ADA = PEOPLE[0]
CLIENT_NAME = "Trail Journal"
CLIENT_ID = "trail-journal"
REDIRECT_URI = "http://127.0.0.1:9/callback"
#: Less than the minute that the site wants an upstream token to be good for: each use renews it.
UPSTREAM_TOKEN_SECONDS = 50


class DemoError(Exception):
    """A promise of the demo does not hold. The text says which."""


def check(holds: object, promise: str) -> None:
    """End the demo unless *holds*.

    Raises:
        DemoError: It does not; *promise* is what should have been.
    """
    if not holds:
        raise DemoError(promise)


@dataclass(frozen=True, slots=True)
class Standing:
    """Number of rows in the tables of the site that the demo shows."""

    users: int = 0
    identities: int = 0
    vault_rows: int = 0
    deferred_registrations: int = 0
    live_tokens: int = 0


#: The tables behind each count, read with plain SQL from outside the site, as an auditor would.
COUNTS = {
    "users": "SELECT count(*) FROM auth_user",
    "identities": "SELECT count(*) FROM lazyauth_provideridentity",
    "vault_rows": "SELECT count(*) FROM lazyauth_upstreamtoken",
    "deferred_registrations": "SELECT count(*) FROM lazyauth_deferredregistration",
    "live_tokens": "SELECT (SELECT count(*) FROM oauth2_provider_accesstoken WHERE expires > :now)"
    " + (SELECT count(*) FROM oauth2_provider_refreshtoken WHERE revoked IS NULL)",
}


#: The tokens stand in the grant that the session lives on. A row of an earlier release holds them itself.
SEALED = """
SELECT coalesce(grants.version, sessions.version), coalesce(grants.access_token, sessions.access_token),
    coalesce(grants.refresh_token, sessions.refresh_token)
FROM lazyauth_upstreamtoken sessions LEFT JOIN lazyauth_upstreamgrant grants ON grants.id = sessions.grant_id
"""


def read_standing(database: Path) -> Standing:
    now = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
    with closing(sqlite3.connect(database, timeout=10)) as connection:
        return Standing(
            **{name: connection.execute(query, {"now": now}).fetchone()[0] for name, query in COUNTS.items()}
        )


def read_vault_version(database: Path) -> int:
    """Return how often the tokens of the one session were renewed, and check that they are sealed."""
    with closing(sqlite3.connect(database, timeout=10)) as connection:
        version, *tokens = connection.execute(SEALED).fetchone()
    check(all(token.startswith("v1.") for token in tokens), "The upstream tokens should be sealed.")
    return int(version)


class Narrator:
    """Prints the steps, and checks and prints what stands in the database after each."""

    def __init__(self, console: Console, database: Path) -> None:
        self._console = console
        self._database = database
        self._steps = 0
        self._last = Standing()

    def step(self, title: str) -> None:
        self._steps += 1
        self._console.print()
        self._console.print(Text.assemble((f"{self._steps:2}  ", "bold cyan"), (title, "bold")))

    def say(self, text: str) -> None:
        self._console.print(Text(f"    {text}"), soft_wrap=True)

    def standing(self, **expected: int) -> None:
        """Check that the database holds exactly *expected* rows, and none where no number is given, and print it."""
        promised, found = Standing(**expected), read_standing(self._database)
        line = Text("    ")
        for item, before, now in zip(fields(found), astuple(self._last), astuple(found), strict=True):
            style = "bold green" if now > before else "bold magenta" if now < before else "dim"
            line.append(f"{item.name.replace('_', ' ')}: {now}", style).append("   ")
        self._console.print(line, soft_wrap=True)
        check(found == promised, f"The database should hold {promised}, and holds {found}.")
        self._last = found


def refused(attempt: Callable[[], Any]) -> str:
    """Return the error code that the server refuses *attempt* with.

    Raises:
        DemoError: It did not refuse.
    """
    try:
        attempt()
    except OAuthError as error:
        return str(error.error)
    raise DemoError("The server should have refused this.")


def failed(attempt: Callable[[], Any]) -> requests.Response:
    """Return the answer of a server that fails at *attempt*.

    Raises:
        DemoError: It did not fail.
    """
    try:
        attempt()
    except requests.HTTPError as error:
        if error.response is not None:
            return error.response
    raise DemoError("The server should have failed here.")


def a_page(arrived: PageSeen | str) -> PageSeen:
    check(isinstance(arrived, PageSeen), f"A page should be shown here, not a redirect to {arrived}.")
    assert isinstance(arrived, PageSeen)
    check(arrived.status == 200, f"{arrived.url} answers {arrived.status}: {arrived.text}")
    return arrived


def play(console: Console, directory: Path) -> None:
    """Run the demo with everything it writes below *directory*.

    Raises:
        DemoError: Something was not as promised.
        ProcessError: A server or a command failed.
    """
    fault = directory / "fault"
    started = time.monotonic()
    console.print("Starting an example site and an upstream provider, each with its own database…")
    site_settings = {
        "DJANGO_SETTINGS_MODULE": "example_project.settings_demo",
        "DEMO_FAULT_FILE": str(fault),
    }
    with (
        Stage(
            directory,
            site_settings=site_settings,
            upstream_settings={"UPSTREAM_ACCESS_TOKEN_SECONDS": str(UPSTREAM_TOKEN_SECONDS)},
        ) as stage,
        Client(CLIENT_ID, REDIRECT_URI, issuer=stage.issuer) as client,
        Browser(stop_at=REDIRECT_URI) as browser,
    ):
        narrator = Narrator(console, stage.database)
        narrator.say(f"the site:     {stage.site_url}")
        narrator.say(f"the upstream: {stage.upstream_url}")
        register(narrator, stage, client)
        answer = sign_in(narrator, stage, client, browser)
        tokens = redeem(narrator, client, answer, fault)
        act_upstream(narrator, stage, client, tokens["access_token"])
        live(narrator, client, tokens, answer)
        with Terminal(directory / "home") as terminal:
            sign_in_terminal(narrator, stage, browser, terminal)
            use_terminal(narrator, client, terminal)
        let_agent_act(narrator, stage, client)
    console.print()
    console.print(
        f"Everything was as promised, in {time.monotonic() - started:.1f} s.",
        style="bold green",
        highlight=False,
    )


def register(narrator: Narrator, stage: Stage, client: Client) -> None:
    narrator.step("An operator registers a client, which discovers the server")
    arguments = [
        "--skip-checks",
        "public",
        "authorization-code",
        f"--name={CLIENT_NAME}",
        f"--client-id={CLIENT_ID}",
        f"--redirect-uris={REDIRECT_URI}",
    ]
    stage.manage("createapplication", *arguments)
    narrator.say(f"manage.py createapplication public authorization-code --client-id={CLIENT_ID} …")
    client.discover()
    check(client.metadata["issuer"] == stage.issuer, "The metadata should name the issuer (RFC 8414 §3.3).")
    check(client.metadata["code_challenge_methods_supported"] == ["S256"], "Only S256 should be offered.")
    narrator.say(f"token endpoint, out of the metadata: {client.metadata['token_endpoint']}")
    narrator.standing()


def sign_in(narrator: Narrator, stage: Stage, client: Client, browser: Browser) -> str:
    """Go from the client's link to its code; return the authorization response."""
    narrator.step("The client sends Ada's browser to /authorize")
    choice = a_page(browser.open(client.authorization_url()))
    check(CLIENT_NAME in choice.text, "The page should say which client wants in.")
    narrator.say(f"“{choice.heading}”, for {CLIENT_NAME}: {' · '.join(choice.buttons)}")
    narrator.standing()

    narrator.step("Ada chooses the upstream and signs in there")
    upstream = a_page(browser.press(choice, "Demo Upstream"))
    check(upstream.url.startswith(stage.upstream_url), "The browser should be at the upstream now.")
    narrator.say(f"“{upstream.heading}” at {stage.upstream_url}")
    consent = a_page(browser.press(upstream, ADA.name))
    check(consent.url.startswith(stage.site_url), "The browser should be back at the site.")
    check(CLIENT_NAME in consent.text, "The consent page should name the client.")
    narrator.say("the site verified the upstream's ID token; what it would write waits, sealed")
    narrator.standing(deferred_registrations=1)

    narrator.step("Ada allows it: the client gets a code, and still nobody was written")
    narrator.say(f"“{consent.heading}” {' · '.join(consent.buttons)}")
    answer = browser.press(consent, "Allow")
    check(isinstance(answer, str), "The browser should be sent to the client.")
    assert isinstance(answer, str)
    parameters = client.answer(answer)
    check("code" in parameters, f"There should be a code, and there is {parameters.get('error')}.")
    check(parameters.get("state") == client.state, "The state should be the client's own.")
    check(parameters.get("iss") == client.issuer, "The answer should say who gives it (RFC 9207).")
    narrator.say(f"code {parameters['code'][:6]}…, state and iss are right")
    narrator.standing(deferred_registrations=1)
    return answer


def redeem(narrator: Narrator, client: Client, answer: str, fault: Path) -> dict[str, Any]:
    """Redeem the code, and return the tokens. The first try fails."""
    narrator.step("The client redeems the code, and the site fails while it writes")
    fault.touch()
    response = failed(lambda: client.redeem(answer))
    check(response.status_code == 500, f"The status should be 500, and is {response.status_code}.")
    check(response.json() == {"error": "server_error"}, f"The error should be bare, and is {response.text}.")
    check("no-store" in response.headers["cache-control"], "Errors of the token endpoint are not cached.")
    check(not fault.exists(), "The failure should have come from where the demo put it.")
    narrator.say('500 {"error": "server_error"}: user, identity and vault row were rolled back together')
    narrator.standing(deferred_registrations=1)

    narrator.step("The client tries again with the same code")
    tokens = client.redeem(answer)
    claims = client.verify(tokens["id_token"])
    check(claims["email"] == ADA.email, "The ID token should be about Ada.")
    narrator.say("one transaction wrote the user, her identity, the sealed upstream tokens and these tokens:")
    narrator.say(f"access token for {tokens['expires_in']} s, refresh token, ID token of {claims['name']}")
    narrator.standing(users=1, identities=1, vault_rows=1, live_tokens=2)
    return tokens


def act_upstream(narrator: Narrator, stage: Stage, client: Client, access_token: str) -> None:
    """Call a tool that acts for Ada at the upstream, and a proxy that swaps her tokens."""
    narrator.step("The client calls a tool of the site, which acts for Ada at the upstream")
    check(read_vault_version(stage.database) == 1, "Nobody used the upstream tokens yet.")
    response = client.call_tool(f"{stage.site_url}/mcp", "read_notes", access_token)
    check(response.status_code == 200, f"The tool server answers {response.status_code}: {response.text}")
    result = response.json()["result"]
    check(not result["isError"], f"The tool failed: {result}")
    check([part["text"] for part in result["content"]] == list(ADA.notes), "The notes should be Ada's.")
    narrator.say(f"POST /mcp tools/call read_notes: “{ADA.notes[0]}”")
    check(read_vault_version(stage.database) == 2, "The upstream token should have been renewed once.")
    narrator.say("the upstream's token had less than a minute left: the site renewed it first, version 1 → 2")

    narrator.step("The same through a reverse proxy that swaps the tokens")
    with stage.proxy() as proxy:
        response = client.call(f"{proxy}/notes", access_token)
        check(response.status_code == 200, f"The proxy answers {response.status_code}: {response.text}")
        check(response.json()["notes"] == list(ADA.notes), "The notes should be Ada's.")
        status = client.call(f"{proxy}/notes", "somebody-elses-token").status_code
        check(status == 401, f"The proxy should refuse a token that is none of ours, and answers {status}.")
    narrator.say("GET /notes: the client's own token went in, the upstream's came out; another's: 401")
    narrator.standing(users=1, identities=1, vault_rows=1, live_tokens=2)


def live(narrator: Narrator, client: Client, tokens: dict[str, Any], answer: str) -> None:
    """Use the tokens, refresh them, and show that a replayed code ends the session."""
    narrator.step("The client asks who this is, and calls a tool of the site")
    response = client.userinfo(tokens["access_token"])
    check(response.status_code == 200, f"userinfo answers {response.status_code}.")
    person = response.json()
    check(person["email"] == ADA.email, "userinfo should be about Ada.")
    check(person["email_verified"] is True, "The upstream said that the address is hers.")
    narrator.say(f"GET /userinfo: {person['name']}, {person['email']}")
    whoami = f"{client.site}/api/whoami"
    response = client.call(whoami, tokens["access_token"])
    check(response.status_code == 200, f"The tool answers {response.status_code}.")
    check(response.json()["client_id"] == client.client_id, "The tool should know which client calls.")
    narrator.say(f"GET /api/whoami: {response.json()['name']}, through {response.json()['client_id']}")

    narrator.step("The client refreshes: the refresh token rotates, the session stays the same")
    renewed = client.refresh(tokens["refresh_token"])
    check(renewed["refresh_token"] != tokens["refresh_token"], "The refresh token should rotate.")
    check(client.userinfo(renewed["access_token"]).status_code == 200, "The new access token should work.")
    narrator.say(
        "the access token before it stays good until it expires: a request may be on its way with it"
    )
    narrator.standing(users=1, identities=1, vault_rows=1, live_tokens=3)

    narrator.step("Somebody replays the code: all that came of it ends")
    check(refused(lambda: client.redeem(answer)) == "invalid_grant", "A replay is an invalid_grant.")
    narrator.say("the replay: 400 invalid_grant")
    again = refused(lambda: client.refresh(renewed["refresh_token"]))
    check(again == "invalid_grant", "The refresh family should be revoked.")
    narrator.say("the refresh token: 400 invalid_grant")
    for url in (client.metadata["userinfo_endpoint"], whoami):
        status = client.call(url, renewed["access_token"]).status_code
        check(status == 401, f"{url} should answer 401, and answers {status}.")
    narrator.say("the access token: 401 at /userinfo and at the tool")
    narrator.say("the upstream tokens: deleted. The user stays: she exists, and signs in again")
    narrator.standing(users=1, identities=1)


def sign_in_terminal(narrator: Narrator, stage: Stage, browser: Browser, terminal: Terminal) -> None:
    """Sign in from a terminal by device code; the browser is Ada's."""
    narrator.step("A command line without a browser: lazyauth login --device")
    told = terminal.begin("login", stage.issuer, "--device")
    narrator.say(told)
    page, code = code_in(told)
    choice = a_page(browser.press(a_page(browser.open(page)), "Continue", user_code=code))
    # The upstream knows her browser by now.
    consent = a_page(browser.press(choice, "Demo Upstream"))
    check(code in consent.text, "The consent page should show the code of the device.")
    done = a_page(browser.press(consent, "Allow"))
    narrator.say(f"Ada types it, signs in, and allows it: “{done.heading}”")
    said = terminal.end()
    check(said == f"Signed in as {ADA.email}.", f"The command should say who signed in, and says {said!r}.")
    narrator.say(said)
    narrator.standing(users=1, identities=1, vault_rows=1, live_tokens=2)


def use_terminal(narrator: Narrator, client: Client, terminal: Terminal) -> None:
    """Use the token of the command line, refresh it, and sign out at the server."""
    narrator.step("A script of hers needs a token: lazyauth token")
    whoami = f"{client.site}/api/whoami"
    first = terminal.run("token")
    check(client.call(whoami, first).status_code == 200, "The token should open the tool.")
    check(terminal.run("token") == first, "A token that is good is printed again, without a request.")
    renewed = terminal.run("token", "--force")
    check(renewed != first, "The token should be another one after a refresh.")
    response = client.call(whoami, renewed)
    check(response.status_code == 200, f"The tool answers {response.status_code}.")
    narrator.say(f'curl -H "Authorization: Bearer $(lazyauth token)" {whoami}: {response.json()["name"]}')
    for line in terminal.run("status").splitlines():
        narrator.say(line)
    narrator.say(terminal.run("logout"))
    check(client.call(whoami, renewed).status_code == 401, "The session should have ended at the server.")
    narrator.say("the access token: 401 at the tool")
    narrator.standing(users=1, identities=1)


def let_agent_act(narrator: Narrator, stage: Stage, client: Client) -> None:
    """Turn what Ada's organisation signs into a token for a tool."""
    narrator.step("Ada's organisation lets an agent act for her: its word becomes a token for a tool")
    agent = demo_agent.Agent(client.metadata["token_endpoint"])
    agent.register(stage)
    whoami = f"{client.site}/api/whoami"
    assertion = stage.upstream_says(
        "sign_assertion",
        ADA.username,
        f"--audience={stage.issuer}",
        f"--client-id={demo_agent.CLIENT_ID}",
        f"--resource={whoami}",
        f"--scope={demo_agent.SCOPE}",
    )
    status, answer = agent.bring(assertion)
    check(status == 200, f"The assertion should be taken, and the answer is {status}: {answer}")
    check("refresh_token" not in answer, "It asks its organisation again, and has no refresh token.")
    response = client.call(whoami, answer["access_token"])
    check(response.status_code == 200, f"The tool answers {response.status_code}.")
    narrator.say(
        f"the upstream signed it for {demo_agent.CLIENT_ID}; no page was shown, and nobody was asked"
    )
    narrator.say(f"GET /api/whoami: {response.json()['name']}, through {response.json()['client_id']}")
    status, answer = agent.bring(assertion)
    check((status, answer.get("error")) == (400, "invalid_grant"), "An assertion is good once.")
    narrator.say("the same assertion again: 400 invalid_grant")
    narrator.standing(users=1, identities=1, live_tokens=2)
