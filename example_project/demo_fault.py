"""A fault on demand, after the user and the upstream tokens were written: there a rollback has most to undo."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from django.contrib.auth.base_user import AbstractBaseUser

from django_lazyauth.providers.base import Json
from django_lazyauth.providers.openid import OpenIDProvider


class DemoFault(Exception):
    """Raised on purpose."""


class FailingOnceProvider(OpenIDProvider):
    """An OpenID provider whose ``finalize`` fails once while ``fault_file`` exists. It deletes that file first."""

    def finalize(self, commit: Json, *, user: AbstractBaseUser, session_id: UUID) -> None:
        super().finalize(commit, user=user, session_id=session_id)
        try:
            Path(self.config["fault_file"]).unlink()
        except FileNotFoundError:
            return
        raise DemoFault
