"""Who reads the database, inside the grace or at any time, gets no token, no successor and no secret (Done when 2)."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.apps import apps
from django.conf import settings
from django.db import connection
from oauth2_provider.models import RefreshToken

from django_lazyauth.errors import SealBroken
from django_lazyauth.models import SealedSuccessor
from django_lazyauth.tokens import sealed_answer
from tests.conftest import CONFIDENTIAL_SECRET
from tests.grants.test_rotation import refresh
from tests.support.journey import redeem
from tests.support.recorded import code_for

pytestmark = pytest.mark.django_db(transaction=True)


def dump() -> bytes:
    """Return the whole content of the database as its own tools give it away."""
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA wal_checkpoint(FULL)")
        return Path(connection.settings_dict["NAME"]).read_bytes()
    where = urlsplit(settings.POSTGRES_URL)
    tool = shutil.which("pg_dump")
    if tool is None:
        pytest.skip("pg_dump is not installed")
    dumped = subprocess.run(
        [
            tool,
            f"--host={where.hostname}",
            f"--port={where.port or 5432}",
            f"--username={where.username or 'postgres'}",
            connection.settings_dict["NAME"],
        ],
        env={"PGPASSWORD": where.password or ""},
        capture_output=True,
        check=False,
    )
    if b"server version mismatch" in dumped.stderr:
        pytest.skip("this pg_dump is older than the server")
    assert dumped.returncode == 0, dumped.stderr
    return dumped.stdout


def values_of_all_rows() -> set[str]:
    """Return every value of every column of every table, and the parts that look like something by themselves."""
    values: set[str] = set()
    for model in apps.get_models():
        for row in model._base_manager.values_list():
            values.update(str(value) for value in row if value not in (None, ""))
    return values | {part for value in values for part in re.findall(r"[\w-]{6,}", value)}


@pytest.fixture
def session(confidential):
    """A session inside the grace: its presented token, what it was answered, and the one before."""
    code = code_for(confidential)
    exchanged = redeem(confidential, code).json()
    answer = refresh(confidential, exchanged["refresh_token"])
    assert answer.status_code == 200
    return code, exchanged, answer


def test_a_dump_inside_the_grace_holds_no_token_and_no_secret(session):
    """Done when 2: not as text, nor in any of the usual encodings of it."""
    code, exchanged, answer = session
    dumped = dump()
    assert SealedSuccessor.objects.get().token_digest.encode() in dumped, "the dump holds what is there"
    secrets = [code, CONFIDENTIAL_SECRET, answer.content.decode()]
    for body in (exchanged, answer.json()):
        secrets += [body["access_token"], body["refresh_token"], body["id_token"]]
        secrets += body["id_token"].split(".")[1:]
    secrets += ["upstream-access", "upstream-refresh"]
    for secret in secrets:
        assert len(secret) > 8
        raw = secret.encode()
        for shape in (
            raw,
            raw.hex().encode(),
            base64.b64encode(raw)[:-4],
            base64.urlsafe_b64encode(raw)[:-4],
        ):
            assert shape not in dumped


def keys_that_a_reader_could_try(values: set[str]):
    """Yield what a key could be, or could be derived from, in the ways that people make keys."""
    for value in values:
        raw = value.encode()
        yield raw
        yield hashlib.sha256(raw).digest()
        yield hashlib.sha256(hashlib.sha256(raw).digest()).digest()
        if re.fullmatch(r"[0-9a-f]{64}", value):
            yield bytes.fromhex(value)


def test_of_a_dump_nothing_opens_the_kept_answer_and_the_presented_token_does(session):
    """Done when 2: every value of every row is tried as the token, and as a key; the site's own keys too."""
    _, exchanged, answer = session
    kept = SealedSuccessor.objects.get()
    place = {"family": kept.family, "client_id": "confidential-client"}
    values = values_of_all_rows() | {settings.SECRET_KEY, *settings.LAZYAUTH["SIGNING_KEYS"]}
    values |= {key.partition(":")[2] for key in settings.LAZYAUTH["VAULT_KEYS"]}
    # Nor what the site gave out besides: only the token that was presented.
    values |= {exchanged["access_token"], exchanged["id_token"]}
    values |= {answer.json()[name] for name in ("access_token", "refresh_token", "id_token")}
    assert RefreshToken.objects.values_list("token_checksum", flat=True).first() in values
    assert len(values) > 100
    for value in values:
        with pytest.raises(SealBroken):
            sealed_answer.open_sealed(kept.sealed, refresh_token=value, **place)

    raw = base64.urlsafe_b64decode(kept.sealed.removeprefix("v1."))
    salt, nonce, rest = raw[:32], raw[32:44], raw[44:]
    data = f"{kept.family}confidential-client".encode()
    infos = (sealed_answer.PURPOSE.encode(), b"")
    for key, info in itertools.product(keys_that_a_reader_could_try(values), infos):
        derived = HKDF(algorithm=hashes.SHA256(), length=32, salt=salt, info=info).derive(key)
        for tried in (key, derived) if len(key) == 32 else (derived,):
            with pytest.raises(InvalidTag):
                AESGCM(tried).decrypt(nonce, rest, data)

    opened = sealed_answer.open_sealed(kept.sealed, refresh_token=exchanged["refresh_token"], **place)
    assert json.loads(opened)["body"] == answer.content.decode()
