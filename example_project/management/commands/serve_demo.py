"""``manage.py serve_demo``: the example site and its upstream for a browser, until Ctrl-C. Nothing is kept."""

from __future__ import annotations

import os
import secrets
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from authlib.common.security import generate_token
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.text import Text

from example_project.servers import ProcessError, Stage
from example_project.upstream.people import PEOPLE

SITE_PORT, UPSTREAM_PORT = 8000, 8001
OPERATOR = "operator"


class Command(BaseCommand):
    help = "Serves the example site and its upstream for a browser, with databases that end with it."
    requires_system_checks = []

    def handle(self, **options: Any) -> None:
        # A signal and Ctrl-C end the servers too.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        console = Console(highlight=False)
        verifier, password = generate_token(48), secrets.token_urlsafe(9)
        with tempfile.TemporaryDirectory(prefix="lazyauth-serve-") as directory:
            stage = Stage(
                Path(directory),
                SITE_PORT,
                UPSTREAM_PORT,
                site_settings={
                    "DEMO_CODE_VERIFIER": verifier,
                    # The site looks as its settings say: `make serve-themed` names another module.
                    "DJANGO_SETTINGS_MODULE": os.environ["DJANGO_SETTINGS_MODULE"],
                },
            )
            try:
                console.print("Starting the example site and its upstream…")
                with stage:
                    self.enter_accounts(stage, password)
                    self.explain(console, stage, verifier, password)
                    while stage.is_up:
                        time.sleep(0.5)
                raise CommandError("A server ended by itself.")
            except ProcessError as error:
                raise CommandError(str(error)) from error
            except KeyboardInterrupt:
                console.print("\nStopped.")

    def enter_accounts(self, stage: Stage, password: str) -> None:
        """Write the demo client and an operator."""
        stage.manage(
            "createapplication",
            "--skip-checks",
            "public",
            "authorization-code",
            "--name=Demo Client",
            f"--client-id={settings.DEMO_CLIENT_ID}",
            f"--redirect-uris={stage.site_url}/demo/callback",
        )
        stage.manage(
            "createsuperuser",
            "--skip-checks",
            "--noinput",
            f"--username={OPERATOR}",
            f"--email={OPERATOR}@demo.example",
            env={"DJANGO_SUPERUSER_PASSWORD": password},
        )

    def explain(self, console: Console, stage: Stage, verifier: str, password: str) -> None:
        query = urlencode(
            {
                "response_type": "code",
                "client_id": settings.DEMO_CLIENT_ID,
                "redirect_uri": f"{stage.site_url}/demo/callback",
                "scope": "openid profile email offline_access",
                "state": "from-the-terminal",
                "code_challenge": create_s256_code_challenge(verifier),
                "code_challenge_method": "S256",
            }
        )
        people = " · ".join(person.name for person in PEOPLE)
        lines = [
            ("Start here, as the demo client does", f"{stage.site_url}/authorize?{query}"),
            ("Sign in at the Demo Upstream as", f"{people} (one click each)"),
            ("What stands in the database", f"{stage.site_url}/admin/ as {OPERATOR}, password {password}"),
            ("Mail to people (the codes of sign-up)", f"files in {stage.directory / 'mail'}"),
            ("The site and the upstream", f"{stage.site_url}/ and {stage.upstream_url}/"),
        ]
        for what, where in lines:
            console.print()
            console.print(Text(what, style="bold cyan"))
            console.print(Text(where), soft_wrap=True)
        console.print("\nCtrl-C stops both. Nothing is kept.", style="bold")
