"""``manage.py generate_signing_key``: a new private key for ``LAZYAUTH["SIGNING_KEYS"]``."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from django_lazyauth.tokens.keys import GENERATORS, generate_signing_key

ADVICE = """\
{algorithm} key {kid}. Keep it secret; it is printed once.

1. Append it to LAZYAUTH["SIGNING_KEYS"] and deploy: it is published, and signs nothing yet.
2. Ten minutes later, when every verifier has seen it, move it to the front: the first key signs.
3. The key before it verifies tokens until the last one it signed is over. Replace it by its public half now
   (openssl pkey -in old.pem -pubout), or remove it then.

Does somebody else have the old key? Put the new one to the front and remove the old one at once."""


class Command(BaseCommand):
    help = "Print a new private key (PEM) for signing tokens; what to do with it is told on stderr."
    #: A site without any key does not pass the checks, and has to get its first one.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--algorithm", choices=sorted(GENERATORS), default="ES256", help="ES256 unless told otherwise"
        )

    def handle(self, *args: Any, algorithm: str, **options: Any) -> None:
        pem, key = generate_signing_key(algorithm)
        self.stdout.write(pem, ending="")
        self.stderr.write(ADVICE.format(algorithm=algorithm, kid=key.kid), style_func=str)
