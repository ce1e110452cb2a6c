"""What happens first with a checked authorization request: a page, a provider, or an answer at once.

Decides and nothing else: no row is written, no page is shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, auto
from typing import Final

from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest
from django.utils import timezone

from django_lazyauth.errors import ConsentRequired, InteractionRequired, LoginRequired
from django_lazyauth.openid.descriptor import SSO_PREFIX
from django_lazyauth.providers.registry import get_provider
from django_lazyauth.sessions import browser
from django_lazyauth.sign_in import chain, sso_domain
from django_lazyauth.toolkit import clients

from .consent import consent_needed
from .request import AuthorizationRequest

#: The person is asked who they are, or want to be, also where somebody is signed in here (OpenID Connect Core
#: §3.1.2.1; Initiating User Registration via OpenID Connect §4).
ASK_WHO: Final = frozenset({"login", "select_account", "create"})


class Step(Enum):
    """A first step that needs no provider, or lets the person choose one."""

    #: Show the ways to sign in.
    CHOOSE = auto()
    #: Show the consent page to the person who is signed in here.
    ASK_CONSENT = auto()
    #: Go through the client's chain as the person who is signed in here.
    CONNECT = auto()
    #: Issue the code without a page.
    ISSUE = auto()


@dataclass(frozen=True, slots=True)
class GoStraight:
    """Send the person to a provider without a page."""

    provider: str


def may_continue(prompts: frozenset[str]) -> bool:
    """Say whether the page may offer to go on as whoever is signed in here."""
    return not prompts & {"login", "create"}


def usable_user(request: HttpRequest, asked: AuthorizationRequest) -> AbstractBaseUser | None:
    """Return the signed-in user, unless the client asks for somebody else, or for a later or stronger sign-in."""
    user = browser.current_user(request)
    if user is None or (asked.subject_hint is not None and asked.subject_hint != str(user.pk)):
        return None
    how = browser.sign_in_of(request)
    if asked.max_age is not None and timezone.now() - how.auth_time > timedelta(seconds=asked.max_age):
        return None
    return user if asked.wanted_acr.allows(how.acr) else None


def first_step(asked: AuthorizationRequest, user: AbstractBaseUser | None) -> Step | GoStraight:
    """Return what to do with *asked*; *user* is signed in here and usable.

    Raises:
        LoginRequired, InteractionRequired, ConsentRequired: ``prompt=none``, and a page would have to be shown
            (OpenID Connect Core §3.1.2.6).
    """
    if "none" in asked.prompts:
        return _step_without_page(asked, user)
    if user is not None and not asked.prompts & ASK_WHO:
        return step_of_known(asked, user)
    if user is None and (only := _only_provider(asked)):
        return GoStraight(only)
    return Step.CHOOSE


def hinted_way(asked: AuthorizationRequest) -> str:
    """Return the provider that the client hints at, if the person may go there; empty otherwise."""
    name = asked.way_hint
    if name.startswith(SSO_PREFIX):
        name = sso_domain.provider_name_of(name.removeprefix(SSO_PREFIX))
    return name if name and chain.is_way_in(name, asked.client, asked.scopes) else ""


def _step_without_page(asked: AuthorizationRequest, user: AbstractBaseUser | None) -> Step:
    if user is None:
        raise LoginRequired
    if chain.asked_for(asked.client, asked.scopes):
        # A new session holds no tokens yet, so every leg would have to show a page.
        raise InteractionRequired
    if _needs_consent(asked, user):
        raise ConsentRequired
    return Step.ISSUE


def step_of_known(
    asked: AuthorizationRequest, user: AbstractBaseUser, *, has_seen_client: bool = False
) -> Step:
    """Return how *user* goes on. Nobody is sent through a chain before they saw for which client."""
    needs_consent = _needs_consent(asked, user)
    if chain.asked_for(asked.client, asked.scopes):
        return Step.CHOOSE if needs_consent and not has_seen_client else Step.CONNECT
    return Step.ASK_CONSENT if needs_consent else Step.ISSUE


def _needs_consent(asked: AuthorizationRequest, user: AbstractBaseUser) -> bool:
    return consent_needed(
        user, client=asked.client, scopes=asked.scopes, resources=asked.resources, prompts=asked.prompts
    )


def _only_provider(asked: AuthorizationRequest) -> str:
    """Return the provider that a client of the operator is sent to without a page; empty where there is a choice.

    There is no choice with one provider, or where the client hints at one or ``login_hint`` names an SSO domain.
    """
    if clients.is_self_registered(asked.client) or "select_account" in asked.prompts:
        return ""
    if (way := hinted_way(asked)) and get_provider(way).is_upstream:
        return way
    hinted = sso_domain.provider_name_of(asked.login_hint)
    if hinted and chain.is_way_in(hinted, asked.client, asked.scopes):
        return hinted
    providers = chain.ways_in(asked.client, asked.scopes)
    if len(providers) != 1 or not providers[0].is_upstream or sso_domain.is_offered():
        return ""
    return providers[0].name
