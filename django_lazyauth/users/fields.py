"""Which fields of a user a provider may fill, and the values that they can hold.

Not here: when they are filled (:mod:`.resolver` for a new user, :mod:`.follow` later).
"""

from __future__ import annotations

import hmac
import logging
import math
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Final

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db import models
from django.utils.crypto import salted_hmac

from django_lazyauth.kit.text import has_bad_characters
from django_lazyauth.openid.people.keys import STANDARD_FIELDS, People
from django_lazyauth.providers.base import Identity

logger = logging.getLogger("django_lazyauth.upstream")

#: They decide who somebody is and what they may do here.
_OURS: Final = frozenset({"password", "is_active", "is_staff", "is_superuser"})
#: Dates say when something happened here. What a file field holds is a path on this site.
_FOREIGN: Final = (models.DateField, models.FileField, models.BinaryField)


def email_field() -> str:
    return str(get_user_model().get_email_field_name())


def complaints(people: People) -> Iterator[str]:
    """Yield what is wrong with ``user_fields`` and ``sync_fields`` for the user model of this site."""
    mapped = dict(people.user_fields)
    for name, rule in people.user_fields:
        if why := _why_not(name):
            if (name, rule) not in STANDARD_FIELDS:
                yield f'"user_fields" cannot fill "{name}": {why}'
        elif name == email_field():
            yield f'"user_fields" cannot fill "{name}": "claims" says where the address is'
    for name in people.sync_fields:
        if name == email_field():
            if why := _why_not(name):
                yield f'"sync_fields" cannot have "{name}": {why}'
        elif name not in mapped:
            yield f'"sync_fields" has "{name}", which "user_fields" does not fill' + _meant(name, mapped)


def _why_not(name: str) -> str:
    """Return what forbids a provider to fill the field *name*, or nothing."""
    model = get_user_model()
    try:
        field: Any = model._meta.get_field(name)
    except FieldDoesNotExist:
        return "the user model has no such field" + _meant(name, [one.name for one in model._meta.fields])
    if field.is_relation:
        return "it is a relation"
    if field.primary_key or name == model.USERNAME_FIELD or name in _OURS:
        return "it says who somebody is, or what they may do"
    if isinstance(field, _FOREIGN) or field.generated:
        return f"it is a {type(field).__name__}"
    return ""


def _meant(name: str, names: Any) -> str:
    close = get_close_matches(name, list(names), n=1, cutoff=0.6)
    return f'; did you mean "{close[0]}"?' if close else ""


# -- values ----------------------------------------------------------------------------------------------------


def said_of(identity: Identity, *, is_logged: bool = False) -> dict[str, Any]:
    """Return what *identity* says of the fields that a provider may fill, as the user model holds it.

    A value that the field refuses is left out, and named in the log if *is_logged*.
    """
    found, blank = {}, get_user_model()()
    for name, value in _given(identity).items():
        if value in (None, "") or _why_not(name) or name == email_field():
            continue
        if (cleaned := _cleaned(name, value, blank)) is not None:
            found[name] = cleaned
        elif is_logged:
            logger.info("what %s says for the field %s of the user is not used", identity.provider, name)
    return found


def _given(identity: Identity) -> Mapping[str, Any]:
    if identity.user_fields is not None:
        return identity.user_fields
    # A provider of the host has no table of keys.
    return {"first_name": identity.claims.get("given_name"), "last_name": identity.claims.get("family_name")}


def verified_address(identity: Identity) -> str | None:
    """Return the address that a user may get, or ``None``."""
    name = email_field()
    if not identity.email_verified or _why_not(name):
        return None
    address = _cleaned(name, identity.email, get_user_model()())
    return str(address) if address else None


def _cleaned(name: str, value: Any, blank: AbstractBaseUser) -> Any:
    """Return *value* as the field *name* holds it; ``None`` where it cannot. A validator may look at a *blank* user."""
    field: Any = blank._meta.get_field(name)
    if isinstance(value, bool) != isinstance(field, models.BooleanField):
        return None
    if not isinstance(value, str | int | float) or (isinstance(value, str) and has_bad_characters(value)):
        return None
    try:
        cleaned = field.clean(value, blank)
    except (ValidationError, ValueError, TypeError, OverflowError):
        return None
    # Not every database stores NaN and infinity.
    return None if isinstance(cleaned, float) and not math.isfinite(cleaned) else cleaned


def is_unique(name: str) -> bool:
    """Say whether only one user may have a value of this field. An address is nobody else's, also where it could be."""
    return name == email_field() or bool(getattr(get_user_model()._meta.get_field(name), "unique", False))


def is_taken(name: str, value: Any, user: AbstractBaseUser | None = None) -> bool:
    """Say whether somebody else than *user* has *value*. Only of a field that :func:`is_unique`."""
    lookup = f"{name}__iexact" if name == email_field() else name
    others = get_user_model()._base_manager.filter(**{lookup: value})
    return others.exclude(pk=user.pk).exists() if user is not None else others.exists()


# -- what we wrote ---------------------------------------------------------------------------------------------


def digest_of(user: AbstractBaseUser, name: str) -> str:
    """Return the digest of what *user* holds in the field *name*. A dump does not show the value."""
    return _digest(user, name, None)


def is_what_we_wrote(user: AbstractBaseUser, name: str, digest: str) -> bool:
    """Say whether *user* still holds what *digest* was made of."""
    keys = (None, *settings.SECRET_KEY_FALLBACKS)
    return any(hmac.compare_digest(_digest(user, name, key), digest) for key in keys)


def _digest(user: AbstractBaseUser, name: str, key: str | bytes | None) -> str:
    text = f"{user.pk}\x00{name}\x00{getattr(user, name)}"
    return salted_hmac("django_lazyauth.written", text, secret=key, algorithm="sha256").hexdigest()
