"""A site whose users have an address each, by a rule of its own."""

from __future__ import annotations

from django.contrib.auth import get_user_model
from django.db import IntegrityError

from django_lazyauth.users import UserResolver


class OneAddress(UserResolver):
    def create(self, identity):
        if get_user_model().objects.filter(email=identity.email).exists():
            # As the database of a site with a unique column says it.
            raise IntegrityError("UNIQUE constraint failed: user.email")
        return super().create(identity)
