"""``manage.py createlazyauthclient NAME``: a client of the operator's own."""

from __future__ import annotations

from typing import Any, Final

from django.core.management.base import CommandError, CommandParser

from django_lazyauth.clients import own
from django_lazyauth.errors import InvalidRedirectUri
from django_lazyauth.management.terminal import Terminal, add_json
from django_lazyauth.toolkit import clients
from django_lazyauth.toolkit.own_clients import OwnGrant

#: Characters that the column holds.
MAX_NAME: Final = 255


class Command(Terminal):
    help = "Make a first-party client and print its id, and its secret once."
    example = 'createlazyauthclient "My app" --redirect-uri https://app.example.org/callback --confidential'

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="people read it on the consent page")
        parser.add_argument("--client-id", default="", help="default: random")
        parser.add_argument(
            "--redirect-uri", action="append", default=[], metavar="URI", help="may be repeated"
        )
        parser.add_argument(
            "--post-logout-redirect-uri", action="append", default=[], metavar="URI", help="may be repeated"
        )
        parser.add_argument("--confidential", action="store_true", help="it can keep a secret, and gets one")
        grant = parser.add_mutually_exclusive_group()
        for option, value, text in (
            ("--machine", OwnGrant.MACHINE, "it gets tokens for itself, and signs nobody in"),
            (
                "--device",
                OwnGrant.DEVICE,
                "it has no browser, and shows a code that its person types elsewhere",
            ),
        ):
            grant.add_argument(
                option, dest="grant", action="store_const", const=value, default=OwnGrant.CODE, help=text
            )
        parser.add_argument("--trusted", action="store_true", help="nobody is asked for consent")
        add_json(parser)

    def handle(self, *args: Any, name: str, as_json: bool, **given: Any) -> None:
        if not given["redirect_uri"] and given["grant"] is OwnGrant.CODE:
            raise CommandError(
                "a client that signs people in needs --redirect-uri; another one --machine or --device",
                returncode=2,
            )
        if given["client_id"] and not clients.is_client_id(given["client_id"]):
            raise CommandError("a client id is printable ASCII, at most 255 characters", returncode=2)
        if not name.strip() or not name.isprintable() or len(name) > MAX_NAME:
            raise CommandError(f"a name has 1 to {MAX_NAME} characters in one line", returncode=2)
        try:
            made = own.create(
                name,
                client_id=given["client_id"],
                redirect_uris=tuple(given["redirect_uri"]),
                post_logout_redirect_uris=tuple(given["post_logout_redirect_uri"]),
                is_confidential=given["confidential"],
                grant=given["grant"],
                is_trusted=given["trusted"],
            )
        except InvalidRedirectUri as error:
            raise CommandError(error.description, returncode=2) from None
        except own.ClientIdTaken:
            raise CommandError(f"there is a client {given['client_id']} already", returncode=1) from None
        found = {"client_id": made.client.client_id} | ({"client_secret": made.secret} if made.secret else {})
        if as_json:
            self.print_json(found)
        else:
            for label, value in found.items():
                self.stdout.write(f"{label}: {value}")
