"""Keys for development: made when they are first needed, and kept in a file that no repository takes.

They are used where ``DEBUG`` is on, the issuer is on loopback, and the settings name no keys.
"""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

from django.conf import settings
from django.views.decorators.debug import sensitive_variables

from django_lazyauth.conf import is_development

from .new_keys import OF_A_NEW_SITE, new_pem, new_vault_key


@dataclass(frozen=True, slots=True)
class DevelopmentKeys:
    """Values of the settings of the same names."""

    signing_keys: tuple[str, ...] = ()
    vault_keys: tuple[str, ...] = ()


def key_file() -> Path:
    """Return the path of the file: beside ``manage.py`` in a project as ``startproject`` makes it."""
    base = getattr(settings, "BASE_DIR", None) or Path.cwd()
    return Path(base) / ".lazyauth" / "development-keys.json"


def development_keys() -> DevelopmentKeys:
    """Return the keys of this machine. There are none outside development, or where no file can be written."""
    return _kept(key_file()) if is_development() else DevelopmentKeys()


@lru_cache(maxsize=4)
@sensitive_variables()
def _kept(path: Path) -> DevelopmentKeys:
    try:
        if not path.exists():
            _make(path)
        found = json.loads(path.read_text())
        return DevelopmentKeys(tuple(found["signing_keys"]), tuple(found["vault_keys"]))
    except (OSError, ValueError, KeyError, TypeError):
        return DevelopmentKeys()  # The checks report that there is no signing key.


@sensitive_variables()
def _make(path: Path) -> None:
    """Write new keys for the owner's eyes. Of processes that start together one wins; the others read its file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    (path.parent / ".gitignore").write_text("*\n")
    keys = DevelopmentKeys(tuple(map(new_pem, OF_A_NEW_SITE)), (new_vault_key("development"),))
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(asdict(keys), file)
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
