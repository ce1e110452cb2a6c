"""``manage.py generate_signing_key``: a new private key for ``LAZYAUTH["SIGNING_KEYS"]``."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from django_lazyauth.kit.crypto.new_keys import GENERATORS
from django_lazyauth.management.terminal import Terminal
from django_lazyauth.tokens.keys import generate_signing_key

ADVICE = """\
{algorithm} key {kid}. Keep it secret; it is printed once.

1. Append it to LAZYAUTH["SIGNING_KEYS"] and deploy. The key is published and signs nothing yet.
2. Ten minutes later every verifier has fetched it. Move it to the front: the first key signs.
3. The old key verifies tokens until the last token that it signed has expired. Replace it now by its public half
   (openssl pkey -in old.pem -pubout), or remove it then.

If somebody else has the old key, put the new one to the front and remove the old one at once."""


class Command(Terminal):
    help = "Print a new private key (PEM) for signing tokens. The next steps are printed on stderr."
    example = "generate_signing_key --algorithm ES256 > key.pem"
    #: A site without a key fails the checks, and this command makes its first one.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--algorithm", choices=sorted(GENERATORS), default="ES256", help="default: ES256")

    def handle(self, *args: Any, algorithm: str, **options: Any) -> None:
        pem, key = generate_signing_key(algorithm)
        self.stdout.write(pem, ending="")
        self.stderr.write(ADVICE.format(algorithm=algorithm, kid=key.kid), style_func=str)
