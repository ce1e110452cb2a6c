"""How an identity becomes a user of this site. ``LAZYAUTH["USER_RESOLVER"]`` names a host's own class."""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from typing import Any, Final

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db.models import BaseConstraint, F, Q, QuerySet, UniqueConstraint

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import RegistrationRefused
from django_lazyauth.kit.text import INVALID
from django_lazyauth.openid.descriptor import SSO_PREFIX
from django_lazyauth.providers.base import Identity

from .fields import is_taken, is_unique, said_of

#: Characters of an address (RFC 5321 §4.5.3.1.3).
EMAIL_LIMIT: Final = 254


def inactive_among(users: QuerySet[Any]) -> list[Any]:
    """Return the keys of the users who were deactivated; none where users cannot be."""
    return list(users.filter(is_active=False).values_list("pk", flat=True)) if _has_field("is_active") else []


def has_address(term: str) -> bool:
    """Say whether *term* may be an e-mail address of a user."""
    return "@" in term and _has_field(get_user_model().get_email_field_name())


def find_users(term: str, *, by_address: bool = True) -> list[Any]:
    """Return the keys of the users who have this primary key, user name or e-mail address. At most 50.

    Args:
        by_address: Whether to look for the address, for which the user model of a site may have no index.
    """
    model = get_user_model()
    named = Q(**{model.USERNAME_FIELD: term})
    if by_address and _has_field(model.get_email_field_name()):
        named |= Q(**{f"{model.get_email_field_name()}__iexact": term})
    with suppress(ValidationError):
        named |= Q(pk=model._meta.pk.to_python(term))
    return list(model._default_manager.filter(named).order_by("pk").values_list("pk", flat=True)[:50])


class UserResolver:
    """Find or create the user of an identity that is not linked yet.

    Both methods run inside the transaction that writes the identity, and must not talk to the network.
    """

    def find(self, identity: Identity) -> AbstractBaseUser | None:
        """Return the existing user this person is, or ``None``.

        The default returns ``None``: equal e-mail addresses alone do not link accounts (I6). A host that has a
        reliable mapping, such as a staff directory keyed on the subject, may return a user here.
        """
        return None

    def create(self, identity: Identity) -> AbstractBaseUser:
        """Write and return a new user with no usable password.

        Raises:
            RegistrationRefused: This person may not have an account, with a reason that they may read.
            IntegrityError: The unique name or address is taken. The client gets an error.
        """
        model = get_user_model()
        user = model(**self.fields(identity))
        user.set_unusable_password()
        user.save()
        return user

    def fields(self, identity: Identity) -> dict[str, Any]:
        """Return the fields of a new user. An e-mail address is used only if it is verified."""
        model = get_user_model()
        email = identity.email if identity.email_verified else ""
        fields: dict[str, Any] = {}
        email_field = model.get_email_field_name()
        if not email and needs_address():
            if lazyauth_settings.unverified_email != "placeholder":
                raise RegistrationRefused("A verified e-mail address is needed to register.")
            email = placeholder_for(identity)
        if _has_field(email_field):
            # Where addresses are unique, a second empty text would be taken for a second person of that address.
            absent = None if may_be_null(email_field) else ""
            fields[email_field] = email or absent
        if email_field != model.USERNAME_FIELD:
            fields[model.USERNAME_FIELD] = username_for(identity)
        said = said_of(identity, is_logged=True)
        taken = {name for name, value in said.items() if is_unique(name) and is_taken(name, value)}
        return {name: value for name, value in said.items() if name not in taken} | fields


def username_for(identity: Identity) -> str:
    """Return a readable user name that is unique to (provider, subject): a word and ten hex digits."""
    told = identity.claims.get("preferred_username")
    source = told if isinstance(told, str) and told else identity.email.partition("@")[0] or identity.provider
    word = re.sub(r"[^a-z0-9]+", "-", source.lower()).strip("-")[:30] or "user"
    suffix = hashlib.sha256(f"{identity.provider}\x00{identity.subject}".encode()).hexdigest()[:10]
    return f"{word}-{suffix}"


def placeholder_for(identity: Identity) -> str:
    """Return an address that is unique to (provider, subject) and never gets mail (RFC 2606 §2)."""
    name = identity.provider.removeprefix(SSO_PREFIX)
    # A domain is one already. A configured name may have what none has.
    host = identity.sso_domain or re.sub(r"[^a-z0-9]+", "-", name.lower())[:63].strip("-") or "provider"
    local = username_for(identity)
    fits = host[-(EMAIL_LIMIT - len(local) - len(INVALID) - 1) :].lstrip(".-")
    return f"{local}@{fits}{INVALID}"


def needs_address() -> bool:
    """Say whether the user model can hold only one person without an e-mail address, or none."""
    model = get_user_model()
    name = model.get_email_field_name()
    if name == model.USERNAME_FIELD:
        return True
    if not _has_field(name):
        return False
    field = model._meta.get_field(name)
    if getattr(field, "unique", False):
        return not may_be_null(name)
    return any(_forbids_a_second_absence(constraint, name) for constraint in model._meta.constraints)


def _forbids_a_second_absence(constraint: BaseConstraint, name: str) -> bool:
    """Say whether *constraint* makes the address alone unique, also where there is none."""
    if not isinstance(constraint, UniqueConstraint):
        return False
    if {*constraint.fields, *_fields_of(constraint)} != {name}:
        return False
    absent = None if may_be_null(name) else ""
    if constraint.condition is not None and not constraint.condition.check({name: absent}):
        return False
    return absent == "" or constraint.nulls_distinct is False


def _fields_of(constraint: UniqueConstraint) -> set[str]:
    """Return the fields in the expressions of *constraint*, such as ``Lower("email")``."""
    expressions: Any = constraint.expressions
    parts = [part for one in expressions for part in one.flatten() if isinstance(part, F)]
    return {str(getattr(part, "name", "")) for part in parts}


def may_be_null(name: str) -> bool:
    return bool(getattr(get_user_model()._meta.get_field(name), "null", False))


def _has_field(name: str) -> bool:
    try:
        get_user_model()._meta.get_field(name)
    except FieldDoesNotExist:
        return False
    return True
