"""The code that a device shows and a person types (RFC 8628 §6.1).

Twenty letters without vowels, so that no word comes of them, and none that is taken for another. Eight of them are
34 bits, which is little: so the digest is keyed, and guesses are counted.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from datetime import timedelta
from typing import Final

from django_lazyauth.kit.crypto.site_keys import keys_for
from django_lazyauth.kit.throttle import Throttle, Verdict

ALPHABET: Final = "BCDFGHJKLMNPQRSTVWXZ"
LENGTH: Final = 8
#: What people type between the letters: blanks, and whatever their keyboard makes of a dash.
_SEPARATORS: Final = re.compile(r"[\s\-\u2010-\u2015\u2212_.]+")
#: Longer than any way to write a code.
MAX_TYPED: Final = 64
PURPOSE: Final = b"django_lazyauth user code v1"

#: Wrong codes of one network, and of everybody. With the cache down no code is taken: nothing would stop a guesser.
WRONG_OF_NETWORK: Final = Throttle("wrong-device-codes", 10, timedelta(minutes=10))
WRONG_IN_ALL: Final = Throttle("wrong-device-codes-in-all", 300, timedelta(minutes=1))


def new_user_code() -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))


def shown(code: str) -> str:
    """Return *code* as devices and pages show it: ``WDJB-MJHT``."""
    return f"{code[: LENGTH // 2]}-{code[LENGTH // 2 :]}"


def normalized(typed: str) -> str:
    """Return the code that a person typed; empty if it can be none. Case, blanks and dashes do not matter."""
    letters = _SEPARATORS.sub("", typed[:MAX_TYPED]).upper()
    return letters if len(letters) == LENGTH and set(letters) <= set(ALPHABET) else ""


def digests(code: str) -> list[str]:
    """Return the digests that a code may be stored under. The first is for a new one."""
    return [hmac.new(key, code.encode(), hashlib.sha256).hexdigest() for key in keys_for(PURPOSE)]


# -- guesses -----------------------------------------------------------------------------------------------


def judge_try(network: str) -> Verdict:
    """Count a try of *network*. It may be looked up only within the limits: with the cache down nobody's is."""
    of_network = WRONG_OF_NETWORK.judge(network)
    return of_network if of_network is not Verdict.WITHIN else WRONG_IN_ALL.judge("")


def was_right(network: str) -> None:
    """Uncount a try: the code was good."""
    WRONG_OF_NETWORK.give_back(network)
    WRONG_IN_ALL.give_back("")


def seconds_left(network: str) -> int:
    """Return when *network* may try again."""
    return WRONG_OF_NETWORK.seconds_left()
