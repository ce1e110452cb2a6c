"""A pushed or signed request is good for one flow: the unique column ``pushed_digest`` decides for which."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from django.db import IntegrityError
from django.db.models import F

from django_lazyauth.errors import InvalidRequestUri
from django_lazyauth.kit.retry import is_foreign_key_violation

#: The columns of a row whose person acted: no other flow comes of the same pushed or signed request.
USED: Final[dict[str, Any]] = {"pushed_digest": F("request_digest")}


@contextmanager
def used_once() -> Iterator[None]:
    """Refuse what writes :data:`USED` into a row while another row has it. The unique column decides.

    Raises:
        InvalidRequestUri: Another flow was first.
    """
    try:
        yield
    except IntegrityError as error:
        if is_foreign_key_violation(error):
            raise
        raise InvalidRequestUri from None
