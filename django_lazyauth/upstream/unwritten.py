"""Answers of an upstream that rotated the refresh token while the database was gone.

The new refresh token exists nowhere else. This process keeps it until the database answers again, and writes it
instead of sending the spent one. Where the process ends first, the upstream refuses the old token, and the person is
asked to sign in again.

Not here: whether an answer can be written (:mod:`.renew`).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Final

from django.views.decorators.debug import sensitive_variables

from django_lazyauth.providers.base import UnusableAnswer
from django_lazyauth.vault.read import StoredBundle
from django_lazyauth.vault.tokens import UpstreamTokens

#: Answers that a process keeps. The oldest goes first.
LIMIT: Final = 256

_guard = threading.Lock()
#: Sealed refresh token that was spent → the answer. Each sealing is unique, so another token never has the same.
_answers: OrderedDict[str, UpstreamTokens | UnusableAnswer] = OrderedDict()


@sensitive_variables()
def keep(held: StoredBundle, answer: UpstreamTokens | UnusableAnswer) -> None:
    """Keep what the refresh of *held* was answered."""
    with _guard:
        _answers[held.refresh_token] = answer
        while len(_answers) > LIMIT:
            _answers.popitem(last=False)


def take(held: StoredBundle) -> UpstreamTokens | UnusableAnswer | None:
    """Return the answer to an earlier refresh of *held*, and forget it."""
    with _guard:
        return _answers.pop(held.refresh_token, None)
