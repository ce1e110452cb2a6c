"""Paths, each prepared up to its last request: what is sent then, and what nobody else may see of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from itertools import count
from typing import Any
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.utils import timezone

from django_lazyauth.models import PendingAuthorization, ProviderIdentity, UpstreamGrant, UpstreamToken
from django_lazyauth.sessions import end
from django_lazyauth.upstream.fresh_token import fresh_token
from django_lazyauth.upstream.revocations import revoke_due
from tests.api.test_sso_and_identities import CSRF, send, token_for
from tests.api.test_sso_and_identities import sign_in as signed_in_browser
from tests.clients.conftest import CONFIDENTIAL, PUBLIC, Registrar
from tests.conftest import CONFIDENTIAL_SECRET, register
from tests.support import delegation, devices, id_jags
from tests.support.client_keys import ClientKey, give_keys
from tests.support.dpop import ProofKey
from tests.support.journey import (
    ISSUER,
    OAuthClient,
    consent,
    get,
    make_browser,
    post_form,
    query_of,
    redeem,
    start,
    submit,
)
from tests.support.pushes import link, parameters, pushed

#: Begins every access and refresh token of the upstream.
PREFIX = "canary0upstream"

_numbers = count(1)


@dataclass
class Attempt:
    """The last request of a path.

    Attributes:
        act: Sends it. Returns an answer, or raises one of our errors where it is a call of a function.
        secrets: What it carries, and what is made for it.
        may_answer: A successful answer holds secrets by right.
    """

    act: Callable[[], Any]
    secrets: list[str]
    may_answer: bool = False


@dataclass
class World:
    """One upstream, one confidential client, and as many people as there are attempts."""

    upstream: Any
    client_id: str
    lazyauth: Any
    browser: Any = field(default_factory=make_browser)

    def client(self) -> OAuthClient:
        return OAuthClient(self.client_id, CONFIDENTIAL_SECRET, scope="openid email upstream:acme")

    def configure(self, **keys: Any) -> None:
        providers = settings.LAZYAUTH["PROVIDERS"]
        self.lazyauth(PROVIDERS=providers | {"acme": providers["acme"] | keys})

    def at_callback(self, client: OAuthClient, sub: str = "") -> tuple[Any, str]:
        """Return a browser that the upstream has just sent back, and where to; a new person unless *sub* says who."""
        browser = make_browser()
        browser.raise_request_exception = False
        redirect = start(browser, client, provider="acme")
        return browser, self.back(redirect, sub or f"person-{next(_numbers)}")

    def back(self, redirect: Any, sub: str) -> str:
        """Return where the upstream sends the browser that *redirect* sent there."""
        back = urlsplit(self.upstream.authorize(redirect.headers["Location"], sub=sub))
        return f"{back.path}?{back.query}"

    def code(self, client: OAuthClient, sub: str = "") -> str:
        browser, url = self.at_callback(client, sub)
        return query_of(consent(browser, get(browser, url)).headers["Location"])["code"]

    def tokens(self, client: OAuthClient, sub: str = "") -> dict[str, Any]:
        answer = redeem(client, self.code(client, sub))
        assert answer.status_code == 200, answer.content
        return answer.json()


def quiet() -> Any:
    browser = make_browser()
    browser.raise_request_exception = False
    return browser


def callback(world: World) -> Attempt:
    browser, url = world.at_callback(world.client())
    return Attempt(lambda: get(browser, url), [])


def callback_immediate(world: World) -> Attempt:
    world.lazyauth(REGISTRATION="immediate")
    return callback(world)


def callback_returning(world: World, **claims: Any) -> Attempt:
    """Somebody comes back, of whom the provider says something else now."""
    client, sub = world.client(), f"person-{next(_numbers)}"
    world.upstream.control(claims={})
    world.tokens(client, sub)
    world.upstream.control(claims={"name": f"Name {next(_numbers)}", **claims})
    browser, url = world.at_callback(client, sub)
    return Attempt(lambda: get(browser, url), [])


def _without_refresh_token(world: World, browser: Any, url: str) -> Any:
    world.upstream.control(omit_refresh_token=True)
    try:
        return get(browser, url)
    finally:
        world.upstream.control(omit_refresh_token=False)


def asked_again(world: World) -> Attempt:
    """A known person comes back without a refresh token, and is sent on for consent."""
    world.lazyauth(REGISTRATION="immediate")
    sub = f"person-{next(_numbers)}"
    world.tokens(world.client(), sub)
    UpstreamGrant.objects.filter(subject=sub).update(is_standing=False)
    browser, url = world.at_callback(world.client(), sub)
    return Attempt(lambda: _without_refresh_token(world, browser, url), [])


def second_answer(world: World) -> Attempt:
    """Somebody comes back after they were asked for consent."""
    sub = f"person-{next(_numbers)}"
    browser, url = world.at_callback(world.client(), sub)
    redirect = _without_refresh_token(world, browser, url)
    assert query_of(redirect.headers["Location"])["prompt"] == "consent"
    url = world.back(redirect, sub)
    return Attempt(lambda: get(browser, url), [])


def callback_following(world: World) -> Attempt:
    """The same, and the user follows, also into a group."""
    Group.objects.get_or_create(name="Editors")
    world.configure(
        sync="update",
        sync_fields=["first_name", "email"],
        groups="groups",
        group_map={"staff": "Editors"},
    )
    told = {"given_name": "Augusta", "email": f"{next(_numbers)}@acme.example", "groups": ["staff"]}
    return callback_returning(world, **told)


def exchange(world: World) -> Attempt:
    client = world.client()
    code = world.code(client)
    secrets = [code, client.verifier, CONFIDENTIAL_SECRET]
    return Attempt(lambda: redeem(client, code, browser=quiet()), secrets, may_answer=True)


def refresh(world: World) -> Attempt:
    client = world.client()
    token = world.tokens(client)["refresh_token"]
    form = {
        "grant_type": "refresh_token",
        "refresh_token": token,
        "client_id": client.client_id,
        "client_secret": CONFIDENTIAL_SECRET,
    }
    return Attempt(lambda: post_form(quiet(), "/token", form), [token, CONFIDENTIAL_SECRET], may_answer=True)


def _keyed(world: World) -> tuple[OAuthClient, ClientKey]:
    """Return a client with a key. A new one each time: its keys are stored before the path begins."""
    key, client_id = ClientKey("ES256"), f"keyed-{next(_numbers)}"
    register(client_id=client_id, client_type="confidential")
    give_keys(client_id, key)
    return OAuthClient(client_id, scope="openid email"), key


def exchange_by_key(world: World) -> Attempt:
    client, key = _keyed(world)
    code = world.code(client)
    form = key.form(client.client_id)
    secrets = [code, client.verifier, form["client_assertion"]]
    return Attempt(lambda: redeem(client, code, browser=quiet(), **form), secrets, may_answer=True)


def _bound(world: World) -> tuple[OAuthClient, ProofKey]:
    """Return a public client, and the key that its tokens are bound to."""
    client_id = f"bound-{next(_numbers)}"
    register(client_id=client_id)
    return OAuthClient(client_id, scope="openid email"), ProofKey()


def _proved(client: OAuthClient, key: ProofKey, form: dict[str, str]) -> Callable[[], Any]:
    """Return what sends *form*, each time with a new proof, as clients do."""
    return lambda: post_form(quiet(), "/token", form, headers={"dpop": key.proof(f"{ISSUER}/token")})


def exchange_with_proof(world: World) -> Attempt:
    client, key = _bound(world)
    code = world.code(client)
    act = _proved(client, key, client.token_form(code))
    return Attempt(act, [code, client.verifier], may_answer=True)


def refresh_with_proof(world: World, *, began_bound: bool = True) -> Attempt:
    """Also the first refresh with a key of a session that began with bearer tokens."""
    client, key = _bound(world)
    form = client.token_form(world.code(client))
    begun = _proved(client, key, form)() if began_bound else post_form(quiet(), "/token", form)
    token = begun.json()["refresh_token"]
    form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": client.client_id}
    return Attempt(_proved(client, key, form), [token], may_answer=True)


def first_key(world: World) -> Attempt:
    return refresh_with_proof(world, began_bound=False)


def push_by_key(world: World) -> Attempt:
    """A client pushes its request. Nothing of it is written, but the assertion is used up."""
    client, key = _keyed(world)
    form = key.form(client.client_id)
    return Attempt(
        lambda: post_form(quiet(), "/par", parameters(client) | form),
        [form["client_assertion"]],
        may_answer=True,
    )


def pushed_choice(world: World) -> Attempt:
    """Somebody acts on a pushed request, which is used up."""
    client, browser = world.client(), quiet()
    request_uri = pushed(client)
    page = get(browser, link(client.client_id, request_uri))
    return Attempt(lambda: submit(browser, page, provider="acme"), [request_uri])


def pushed_silently(world: World) -> Attempt:
    """The same without a page, in a browser where somebody is signed in who allowed it before."""
    client = world.client()
    client.scope = "openid email"
    browser, url = world.at_callback(client)
    code = query_of(consent(browser, get(browser, url)).headers["Location"])["code"]
    assert redeem(client, code).status_code == 200
    get(browser, f"/authorize?{client.authorize_query()}")
    request_uri = pushed(client)
    return Attempt(lambda: get(browser, link(client.client_id, request_uri)), [])


def _television(world: World) -> str:
    """Return a public client of devices."""
    world.lazyauth(DEVICE_FLOW=True)
    client_id = f"television-{next(_numbers)}"
    register(client_id=client_id, authorization_grant_type=devices.DEVICE_CODE, redirect_uris="")
    return client_id


def _claimed(world: World) -> tuple[dict[str, Any], str, Any, Any]:
    """Return what a device got, its client, a person's browser, and the page after they signed in for it."""
    client_id, browser = _television(world), make_browser()
    asked = devices.codes(client_id, scope="openid email", address=f"192.0.2.{next(_numbers) % 250}")
    page = devices.claim(browser, asked)
    redirect = submit(browser, page, provider="acme")
    back = get(browser, world.back(redirect, f"person-{next(_numbers)}"))
    return asked, client_id, browser, get(browser, back.headers["Location"])


def device_request(world: World) -> Attempt:
    """A device asks for its codes."""
    client_id, address = _television(world), f"198.51.100.{next(_numbers) % 250}"
    return Attempt(lambda: devices.ask(client_id, browser=quiet(), address=address), [], may_answer=True)


def device_poll(world: World) -> Attempt:
    """A device asks before its person answered, and that it did is written down."""
    client_id = _television(world)
    asked = devices.codes(client_id, address=f"203.0.113.{next(_numbers) % 250}")
    waiting = devices.poll

    def act() -> Any:
        answer = waiting(asked, client_id)
        # The right answer is an error: the path is done with it.
        answer.status_code = 200 if answer.json()["error"] in devices.WAITING else answer.status_code
        return answer

    return Attempt(act, [asked["device_code"]])


def device_claim(world: World) -> Attempt:
    """Somebody types the code of their device."""
    client_id, browser = _television(world), quiet()
    asked = devices.codes(client_id, address=f"203.0.113.{next(_numbers) % 250}")
    page = get(browser, "/device")
    return Attempt(lambda: submit(browser, page, user_code=asked["user_code"]), [asked["device_code"]])


def device_allowed(world: World) -> Attempt:
    """Somebody allows their device."""
    asked, _client_id, browser, page = _claimed(world)
    browser.raise_request_exception = False
    return Attempt(lambda: submit(browser, page, decision="allow"), [asked["device_code"]])


def device_exchange(world: World) -> Attempt:
    """A device redeems its code, and its person is written, and what it calls them."""
    world.lazyauth(SUBJECT_TYPE="pairwise")
    asked, client_id, browser, page = _claimed(world)
    submit(browser, page, decision="allow")
    form = {
        "grant_type": devices.DEVICE_CODE,
        "device_code": asked["device_code"],
        "client_id": client_id,
    }
    return Attempt(
        lambda: post_form(quiet(), "/token", form),
        [asked["device_code"], asked["user_code"]],
        may_answer=True,
    )


def vault_refresh(world: World) -> Attempt:
    world.tokens(world.client())
    row = UpstreamToken.objects.latest("pk")
    binding = {"user_id": row.user_id, "client_id": row.client_id}
    return Attempt(lambda: fresh_token(row.session_id, "acme", force=True, **binding), [])


def upstream_tokens(world: World) -> Attempt:
    token = world.tokens(world.client())["access_token"]
    bearer = {"authorization": f"Bearer {token}"}
    return Attempt(
        lambda: get(quiet(), "/upstream-tokens/acme?refused_version=1", headers=bearer),
        [token],
        may_answer=True,
    )


def _for_the_tool(world: World, **form: Any) -> Attempt:
    """A tool server exchanges the token of somebody. A new server each time: it has a token of its own then."""
    client_id = f"tool-{next(_numbers)}"
    delegation.confidential(client_id)
    policy = delegation.POLICY | {"upstreams": {"acme": "email"}}
    world.lazyauth(
        INTROSPECTION_CLIENTS={client_id: [ISSUER]},
        TOKEN_EXCHANGE={client_id: policy},
        SUBJECT_TYPE="pairwise",
    )
    token = world.tokens(world.client())["access_token"]
    sent = partial(delegation.exchange, token, client_id=client_id, browser=quiet(), **form)
    return Attempt(sent, [token, CONFIDENTIAL_SECRET], may_answer=True)


def token_exchange(world: World) -> Attempt:
    return _for_the_tool(world, audience=delegation.API)


def upstream_exchange(world: World) -> Attempt:
    """The same for the upstream's token, which is renewed first."""
    attempt = _for_the_tool(world, audience="upstream:acme")
    UpstreamGrant.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    return attempt


def id_jag(world: World) -> Attempt:
    """A new person is written on the word of their organisation."""
    client_id = f"agent-{next(_numbers)}"
    delegation.confidential(client_id)
    world.configure(id_jag=id_jags.POLICY | {"clients": [client_id], "scopes": ["email"]})
    # What clients call them is written with them.
    world.lazyauth(SUBJECT_TYPE="pairwise")
    text = id_jags.assertion(
        world.upstream, sub=f"person-{next(_numbers)}", client_id=client_id, scope="email"
    )
    sent = partial(id_jags.bring, text, client_id=client_id, browser=quiet())
    return Attempt(sent, [text, CONFIDENTIAL_SECRET], may_answer=True)


def userinfo(world: World) -> Attempt:
    token = world.tokens(world.client())["access_token"]
    bearer = {"authorization": f"Bearer {token}"}
    return Attempt(lambda: get(quiet(), "/userinfo", headers=bearer), [token])


def _with_token(path: str) -> Callable[[World], Attempt]:
    def prepare(world: World) -> Attempt:
        client = world.client()
        token = world.tokens(client)["access_token"]
        form = {"token": token, "client_id": client.client_id, "client_secret": CONFIDENTIAL_SECRET}
        return Attempt(lambda: post_form(quiet(), path, form), [token, CONFIDENTIAL_SECRET])

    return prepare


def registration(world: World) -> Attempt:
    registrar = Registrar()
    return Attempt(lambda: registrar.register(CONFIDENTIAL), [], may_answer=True)


def _managing(method: str, document: dict[str, Any] | None = None) -> Callable[[World], Attempt]:
    def prepare(world: World) -> Attempt:
        registrar = Registrar()
        body = registrar.registered(PUBLIC | {"client_name": f"Client {next(_numbers)}"})
        secrets = [body["registration_access_token"]]
        return Attempt(lambda: registrar.manage(method, body, document), secrets, may_answer=True)

    return prepare


def native_token(world: World) -> Attempt:
    browser = make_browser()
    start(browser, world.client(), provider="demo")
    browser.raise_request_exception = False
    pending = PendingAuthorization.objects.latest("created_at")
    url = f"/authorizations/{pending.pk}/id-token"
    nonce = get(browser, url).json()["nonce"]
    token = token_for(world.upstream, nonce, sub=f"person-{next(_numbers)}")
    return Attempt(lambda: send(browser, url, {"id_token": token}), [token])


def identity_link(world: World) -> Attempt:
    user = get_user_model().objects.create_user(f"user-{next(_numbers)}")
    ProviderIdentity.objects.create(user=user, provider="demo", subject=user.username)
    browser = signed_in_browser(user)
    browser.raise_request_exception = False
    nonce = get(browser, "/identities").json()["nonce"]
    token = token_for(world.upstream, nonce, sub=f"person-{next(_numbers)}")
    body = json.dumps({"id_token": token})
    return Attempt(lambda: send(browser, "/identities", body, **CSRF), [token])


def _leaving(world: World) -> None:
    """Let each refresh token be a family of its own, so that its last session revokes it."""
    world.configure(
        revocation="token", upstream_logout="always", end_session_endpoint=f"{world.upstream.issuer}/bye"
    )


def sign_out(world: World) -> Attempt:
    """Somebody signs out here, and goes on to the provider."""
    _leaving(world)
    client = world.client()
    browser, url = world.at_callback(client)
    code = query_of(consent(browser, get(browser, url)).headers["Location"])["code"]
    id_token = redeem(client, code).json()["id_token"]
    get(browser, f"/authorize?{client.authorize_query()}")
    return Attempt(lambda: get(browser, f"/logout?{urlencode({'id_token_hint': id_token})}"), [])


def denial(world: World) -> Attempt:
    """Somebody new came back from the provider, and does not allow the client anything."""
    _leaving(world)
    browser, url = world.at_callback(world.client())
    page = get(browser, get(browser, url).headers["Location"])
    return Attempt(lambda: submit(browser, page, decision="deny"), [])


def left_grant(world: World) -> Attempt:
    """The refresh token of a session that ended is revoked."""
    _leaving(world)
    world.tokens(world.client())
    end.end_session(UpstreamToken.objects.latest("pk").session_id)
    UpstreamGrant.objects.filter(state="leaving").update(next_attempt_at=timezone.now() - timedelta(hours=1))
    return Attempt(revoke_due, [])


PATHS: dict[str, Callable[[World], Attempt]] = {
    "sign-out": sign_out,
    "denial": denial,
    "left grant": left_grant,
    "callback, lazy": callback,
    "callback, immediate": callback_immediate,
    "callback, returning": callback_returning,
    "callback, asked again": asked_again,
    "callback, second answer": second_answer,
    "callback, following": callback_following,
    "exchange": exchange,
    "exchange by key": exchange_by_key,
    "exchange with a proof": exchange_with_proof,
    "refresh": refresh,
    "refresh with a proof": refresh_with_proof,
    "refresh with a first key": first_key,
    "push by key": push_by_key,
    "device, request": device_request,
    "device, poll": device_poll,
    "device, claim": device_claim,
    "device, allowed": device_allowed,
    "device, exchange": device_exchange,
    "pushed, choice": pushed_choice,
    "pushed, silent answer": pushed_silently,
    "vault refresh": vault_refresh,
    "registration": registration,
    "registration PUT": _managing("PUT", PUBLIC | {"client_name": "Renamed"}),
    "registration DELETE": _managing("DELETE"),
    "token exchange": token_exchange,
    "upstream exchange": upstream_exchange,
    "ID-JAG": id_jag,
    "introspection": _with_token("/introspect"),
    "userinfo": userinfo,
    "upstream tokens": upstream_tokens,
    "revocation": _with_token("/revoke_token"),
    "native ID token": native_token,
    "identity link": identity_link,
}
