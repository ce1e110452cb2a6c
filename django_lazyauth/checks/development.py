"""What works on this machine only, because nothing was set for it."""

from __future__ import annotations

from collections.abc import Iterator

from django.core.checks import CheckMessage, Info

from django_lazyauth.conf import is_development, prints_mail
from django_lazyauth.conf.messages import readable
from django_lazyauth.toolkit.settings import rsa_private_keys

from .deploy import mails_codes


def check_development() -> Iterator[CheckMessage]:
    """Name what is for development only. ``check --deploy`` refuses each of it."""
    if not is_development():
        return
    found = []
    if readable("signing_keys") == () and not rsa_private_keys():
        found.append("tokens are signed with keys of this machine")
    if readable("vault_keys") == ():
        found.append("upstream tokens are sealed with a key of this machine")
    if mails_codes() and prints_mail():
        found.append("mails of the password provider are printed on the console")
    if found:
        yield Info(
            f"For development only: {', '.join(found)}.",
            hint="`manage.py lazyauth_init` makes what a deployment needs, and `check --deploy` says what is missing.",
            id="lazyauth.I001",
        )
