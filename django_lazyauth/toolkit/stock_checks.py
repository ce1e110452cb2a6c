"""The deployment checks of django-oauth-toolkit, where they say something about this site.

Its warnings W001 to W010 are about its own endpoints: implicit and password grant, plain PKCE, tokens in the query and
in plain text, replays, redirect URIs. Ours have none of that, whatever ``OAUTH2_PROVIDER`` says. So the warnings are
shown where the site serves a view of django-oauth-toolkit, or protects one with it. Its errors are always shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Tags, register
from django.core.checks.registry import registry
from django.urls import URLPattern, URLResolver, get_resolver

from .moved import dot_module

validate_bcp_configuration = dot_module("checks", moves_to="core").validate_bcp_configuration

PACKAGE: Final = "oauth2_provider"
ABOUT_ITS_ENDPOINTS: Final = frozenset(f"{PACKAGE}.W{number:03}" for number in range(1, 11))


def replace_deploy_check() -> None:
    """Run the check through ours. The app config calls this once."""
    registry.deployment_checks.discard(validate_bcp_configuration)
    register(check_what_is_mounted, Tags.security, deploy=True)


def check_what_is_mounted(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Check the settings of django-oauth-toolkit. Warnings count where the site uses its views."""
    found: list[CheckMessage] = validate_bcp_configuration(app_configs, **kwargs)
    if is_used():
        return found
    return [message for message in found if message.id not in ABOUT_ITS_ENDPOINTS]


def is_used() -> bool:
    """Say whether a view, a decorator, a middleware or an authentication of django-oauth-toolkit serves requests."""
    if any(path.startswith(f"{PACKAGE}.") for path in settings.MIDDLEWARE):
        return True
    views = _views(get_resolver()) if getattr(settings, "ROOT_URLCONF", None) else ()
    return any(_is_theirs(module) for view in views for module in _modules(view))


def _views(resolver: URLResolver) -> Iterator[Any]:
    for pattern in resolver.url_patterns:
        if isinstance(pattern, URLResolver):
            yield from _views(pattern)
        elif isinstance(pattern, URLPattern):
            yield pattern.callback


def _modules(view: Any) -> Iterator[str]:
    """Yield the modules that *view* is made of: its function below each decorator, and its classes."""
    function = view
    while function is not None:
        yield getattr(function, "__globals__", {}).get("__name__", "")
        function = getattr(function, "__wrapped__", None)
    # REST framework names it "cls", Django "view_class".
    kind = getattr(view, "cls", None) or getattr(view, "view_class", None)
    if kind is None or kind.__module__.startswith("django_lazyauth."):
        return
    plugged = [*getattr(kind, "authentication_classes", ()), *getattr(kind, "permission_classes", ())]
    for one in (kind, *plugged):
        yield from (base.__module__ for base in getattr(one, "__mro__", ()))


def _is_theirs(module: str) -> bool:
    return module == PACKAGE or module.startswith(f"{PACKAGE}.")
