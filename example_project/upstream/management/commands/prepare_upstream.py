"""Make the upstream ready to serve: its tables, people and one client. A second run changes nothing."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser
from oauth2_provider.models import Application

from example_project.upstream.people import PEOPLE


class Command(BaseCommand):
    help = "Makes the upstream's tables and enters its people and its client."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--redirect-uri", required=True, help="where the client receives its codes")
        parser.add_argument("--client-id", required=True)
        parser.add_argument("--client-secret", required=True)

    def handle(self, *, redirect_uri: str, client_id: str, client_secret: str, **options: Any) -> None:
        call_command("migrate", run_syncdb=True, interactive=False, verbosity=0)
        for person in PEOPLE:
            user, _ = User.objects.update_or_create(
                username=person.username,
                defaults={
                    "first_name": person.given_name,
                    "last_name": person.family_name,
                    "email": person.email,
                    "is_active": True,
                },
            )
            if not user.check_password(person.password):
                user.set_password(person.password)
                user.save(update_fields=["password"])
        client = Application.objects.filter(client_id=client_id).first() or Application(client_id=client_id)
        client.name = "The example site"
        client.client_secret = client_secret
        client.client_type = Application.CLIENT_CONFIDENTIAL
        client.authorization_grant_type = Application.GRANT_AUTHORIZATION_CODE
        client.redirect_uris = redirect_uri
        client.algorithm = Application.RS256_ALGORITHM
        client.skip_authorization = True
        client.full_clean()
        client.save()
        self.stdout.write(f"The upstream knows {len(PEOPLE)} people and the client {client_id}.")
