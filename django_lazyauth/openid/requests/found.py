"""Which authentication method worked at a provider where none is configured or published.

It stands in the provider's row, also for a provider without keys. It is a hint: a method that is refused later is
replaced by the other one.
"""

from __future__ import annotations

import logging

from django.db import DatabaseError, InterfaceError

from django_lazyauth.models import ProviderKeySet
from django_lazyauth.openid.descriptor import ProviderDescriptor

logger = logging.getLogger("django_lazyauth.upstream")


def find_method(provider: str) -> str:
    """Return the method that worked; empty where none was found yet."""
    rows = ProviderKeySet.objects.filter(pk=provider)
    return rows.values_list("method_found", flat=True).first() or ""


def keep_method(descriptor: ProviderDescriptor, method: str) -> None:
    """Remember that *method* worked, for every process. Two statements, no transaction.

    A database that fails here fails nobody: the tokens of the answer would be lost.
    """
    row = ProviderKeySet(provider=descriptor.name, issuer=descriptor.issuer)
    try:
        ProviderKeySet.objects.bulk_create([row], ignore_conflicts=True)
        ProviderKeySet.objects.filter(pk=descriptor.name).update(method_found=method)
    except (DatabaseError, InterfaceError) as error:
        logger.warning("%s: the method that worked was not kept: %s", descriptor.name, type(error).__name__)
        return
    logger.info("%s knows this site by %s", descriptor.name, method)
