"""Spec 6, signing keys: a list, of which the first signs; how one comes, goes, and is published meanwhile."""

from __future__ import annotations

from io import StringIO

import pytest
from cryptography.hazmat.primitives import serialization
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command, load_command_class
from django.test import override_settings

from django_lazyauth.tokens import keys as tokens
from tests.clients.conftest import PUBLIC
from tests.conftest import register
from tests.support.journey import OAuthClient, get, make_browser
from tests.tokens.conftest import decoded, sign_in

JWKS = "/.well-known/jwks.json"


def public_half(pem: str) -> str:
    public = tokens.parse_signing_key(pem).public_key
    return public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()


def jwks(**headers):
    return get(make_browser(), JWKS, headers=headers)


# -- the list ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_the_public_half_of_a_retired_key_is_published_like_the_key(lazyauth, pems, algorithm):
    """Spec 6: its tokens stay valid, and nothing can be signed with it any more."""
    first = pems["ES256" if algorithm != "ES256" else "RS256"]
    lazyauth(SIGNING_KEYS=[first, pems[algorithm]])
    with_private = tokens.public_key_set()
    lazyauth(SIGNING_KEYS=[first, public_half(pems[algorithm])])
    assert tokens.public_key_set() == with_private
    assert tokens.key_for(algorithm).algorithm != algorithm
    assert algorithm not in tokens.signing_algorithms()
    with pytest.raises(ImproperlyConfigured):
        tokens.sign({}, key=tokens.signing_keys()[1], typ="JWT")


def test_a_key_that_is_named_twice_is_one_key(lazyauth, pems):
    """RFC 7517 §4.5: one id, one key. The half that can sign is kept."""
    lazyauth(
        SIGNING_KEYS=[pems["ES256"], public_half(pems["RS256"]), pems["RS256"], public_half(pems["ES256"])]
    )
    assert [key.algorithm for key in tokens.signing_keys()] == ["ES256", "RS256"]
    assert tokens.signing_algorithms() == ("ES256", "RS256")


@pytest.mark.parametrize("keys", [["public"], ["garbage"], "text", [b"bytes"], [None], ["good", "garbage"]])
def test_a_list_that_cannot_sign_is_an_error_of_check_and_is_not_quoted(lazyauth, pems, keys):
    made = {"public": public_half(pems["ES256"]), "garbage": "PUBLIC KEY c2VjcmV0", "good": pems["ES256"]}
    lazyauth(SIGNING_KEYS=keys if isinstance(keys, str) else [made.get(key, key) for key in keys])
    found = [message for message in run_checks(tags=["lazyauth"]) if message.id == "lazyauth.E005"]
    assert len(found) == 1
    assert "c2VjcmV0" not in str(found)


def test_a_new_key_of_the_same_kind_is_published_before_it_signs(lazyauth, pems):
    """How an operator rotates: appended, it is only published; moved to the front, it signs."""
    new, _ = tokens.generate_signing_key("ES256")
    lazyauth(SIGNING_KEYS=[pems["ES256"], new])
    assert tokens.key_for() == tokens.key_for("ES256") == tokens.parse_signing_key(pems["ES256"])
    assert len(tokens.public_key_set()["keys"]) == 2
    lazyauth(SIGNING_KEYS=[new, pems["ES256"]])
    assert tokens.key_for("ES256") == tokens.parse_signing_key(new)


# -- a new one ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA", None])
def test_the_command_prints_a_key_on_stdout_and_what_to_do_on_stderr(algorithm):
    """Spec 6. ``manage.py generate_signing_key > key.pem`` gives a file with a key and nothing else."""
    out, err = StringIO(), StringIO()
    call_command(
        "generate_signing_key", *(["--algorithm", algorithm] if algorithm else []), stdout=out, stderr=err
    )
    key = tokens.parse_signing_key(out.getvalue())
    assert key.algorithm == (algorithm or "ES256")
    assert out.getvalue().startswith("-----BEGIN PRIVATE KEY-----")
    assert out.getvalue().endswith("-----END PRIVATE KEY-----\n")
    assert key.kid in err.getvalue()
    assert "PRIVATE KEY" not in err.getvalue()


def test_a_site_without_a_key_can_make_its_first(lazyauth, capsys):
    """The checks that such a site fails are not asked, as ``manage.py`` would."""
    lazyauth(SIGNING_KEYS=[])
    load_command_class("django_lazyauth", "generate_signing_key").run_from_argv(["manage.py", "generate"])
    assert tokens.parse_signing_key(capsys.readouterr().out)


# -- publishing --------------------------------------------------------------------------------------------


def test_who_has_the_key_set_is_told_so(lazyauth, pems):
    """RFC 9110 §13.1.2: and the tag changes with the keys."""
    lazyauth(SIGNING_KEYS=[pems["ES256"]])
    first = jwks()
    etag = first.headers["ETag"]
    for sent in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again = jwks(**{"if-none-match": sent})
        assert again.status_code == 304
        assert again.content == b""
        assert again.headers["ETag"] == etag
        assert again.headers["Cache-Control"] == first.headers["Cache-Control"] == "public, max-age=600"
        assert again.headers["Access-Control-Allow-Origin"] == "*"
    lazyauth(SIGNING_KEYS=[pems["RS256"], pems["ES256"]])
    changed = jwks(**{"if-none-match": etag})
    assert changed.status_code == 200
    assert len(changed.json()["keys"]) == 2
    assert changed.headers["ETag"] != etag


@pytest.mark.parametrize("sent", ["", "x", '"', "W/", "\xff", '"' + "a" * 9000])
def test_a_condition_that_makes_no_sense_gets_the_whole_set(sent):
    """I18."""
    assert jwks(**{"if-none-match": sent}).status_code == 200


def test_the_documents_name_the_algorithms_that_can_sign(lazyauth, pems):
    """OpenID Connect Discovery §3: nothing is signed with a retired key."""
    lazyauth(SIGNING_KEYS=[pems["ES256"], public_half(pems["RS256"]), pems["EdDSA"]])
    document = get(make_browser(), "/.well-known/openid-configuration").json()
    assert document["id_token_signing_alg_values_supported"] == ["ES256", "EdDSA"]


# -- the client's choice -----------------------------------------------------------------------------------


@pytest.fixture
def three(lazyauth, pems):
    lazyauth(SIGNING_KEYS=[pems["ES256"], pems["RS256"], pems["EdDSA"]])


def registered(**metadata):
    return make_browser().post(
        "/register/", {**PUBLIC, **metadata}, content_type="application/json", secure=True
    )


@pytest.mark.django_db
@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_id_tokens_are_signed_as_the_client_registered(three, algorithm):
    """OpenID Connect Registration §2, id_token_signed_response_alg; RFC 7591 §3.2.1: echoed."""
    body = registered(id_token_signed_response_alg=algorithm)
    assert body.status_code == 201, body.content
    assert body.json()["id_token_signed_response_alg"] == algorithm
    answer = sign_in(OAuthClient(body.json()["client_id"]))
    assert decoded(answer["id_token"])[0]["alg"] == algorithm
    assert decoded(answer["access_token"])[0]["alg"] == "ES256"


@pytest.mark.django_db
@pytest.mark.parametrize("algorithm", ["none", "HS256", "PS256", "", ["RS256"], {"a": 1}, 256, "EdDSA\x00"])
def test_an_algorithm_that_we_cannot_sign_with_is_not_registered(lazyauth, pems, algorithm):
    """OpenID Connect Registration §3.3."""
    lazyauth(SIGNING_KEYS=[pems["ES256"]])
    body = registered(id_token_signed_response_alg=algorithm)
    if isinstance(algorithm, str) and "\x00" not in algorithm:
        # A member that cannot be served is dropped and not echoed (RFC 7591 §2): the first key signs.
        assert body.status_code == 201
        assert "id_token_signed_response_alg" not in body.json()
    else:
        assert (body.status_code, body.json()["error"]) == (400, "invalid_client_metadata")


@pytest.mark.django_db
def test_who_registered_no_algorithm_gets_the_first_key(three):
    answer = sign_in(OAuthClient(registered().json()["client_id"]))
    assert decoded(answer["id_token"])[0]["alg"] == "ES256"


@pytest.mark.django_db
@pytest.mark.parametrize(("column", "algorithm"), [("RS256", "RS256"), ("", "ES256"), ("HS256", "ES256")])
def test_an_operators_client_has_the_toolkits_column_for_it(three, column, algorithm):
    """An existing site's clients keep what they have; shared secrets sign nothing here."""
    register(client_id="kept", algorithm=column)
    answer = sign_in(OAuthClient("kept"))
    assert decoded(answer["id_token"])[0]["alg"] == algorithm


@pytest.mark.django_db
def test_a_client_whose_algorithm_was_retired_gets_the_first_key(three, lazyauth, pems):
    client_id = registered(id_token_signed_response_alg="RS256").json()["client_id"]
    lazyauth(SIGNING_KEYS=[pems["ES256"], public_half(pems["RS256"])])
    assert decoded(sign_in(OAuthClient(client_id))["id_token"])[0]["alg"] == "ES256"


@pytest.mark.django_db
def test_keys_are_parsed_once_however_many_tokens(client_, monkeypatch):
    """Architecture: parsing an RSA key costs more than an exchange."""
    sign_in(client_)
    parsed = []
    load = serialization.load_pem_private_key
    monkeypatch.setattr(
        tokens.serialization,
        "load_pem_private_key",
        lambda *args, **kw: parsed.append(1) or load(*args, **kw),
    )
    with override_settings(USE_TZ=True):
        sign_in(client_)
        jwks()
    assert not parsed
