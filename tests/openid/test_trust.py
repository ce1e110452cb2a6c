"""What an operator knows of a provider beforehand: its keys, and the authority that signed its certificates."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from pathlib import Path

import pytest

from django_lazyauth.errors import IdentityRejected, ProviderUnavailable
from django_lazyauth.kit.results import SourceFailed
from django_lazyauth.models import ProviderKeySet
from django_lazyauth.openid import key_fetch
from django_lazyauth.openid.descriptor import DescriptorError, descriptor_from_settings
from django_lazyauth.providers.registry import get_provider
from tests.support.certificates import certificate
from tests.support.id_tokens import JWKS
from tests.support.legs import leg, pending_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def pending(application):
    return pending_of(application)


def keys_of(upstream):
    return json.loads(upstream._request("GET", "/jwks")[2])


# --- Keys of the entry ------------------------------------------------------------------------------------


def test_keys_of_the_entry_are_used_and_none_are_fetched(upstream, pending, lazyauth):
    given = keys_of(upstream)
    lazyauth(PROVIDERS={"acme": upstream.config(jwks=given)})
    upstream.control(metadata={"jwks_uri": None}, jwks_answer="500")
    before = len(upstream.requests("/jwks"))
    assert leg(upstream, pending).identity.subject == "person-1"
    upstream.control(rotate_keys=True)
    with pytest.raises(IdentityRejected, match="unknown_kid"):
        leg(upstream, pending)
    assert len(upstream.requests("/jwks")) == before


def test_with_keys_and_endpoints_nothing_is_fetched(upstream, pending, lazyauth):
    endpoints = {f"{name}_endpoint": f"{upstream.issuer}/{path}" for name, path in PATHS.items()}
    lazyauth(PROVIDERS={"acme": upstream.config(jwks=keys_of(upstream), userinfo="never", **endpoints)})
    upstream.control(callback={"iss": None})
    assert leg(upstream, pending).identity.subject == "person-1"
    assert not [entry for entry in upstream.requests() if entry["path"].startswith("/.well-known")]


PATHS = {"authorization": "authorize", "token": "token"}


def test_an_entry_whose_keys_go_fetches_them(upstream, pending, lazyauth):
    lazyauth(PROVIDERS={"acme": upstream.config(jwks=keys_of(upstream))})
    assert leg(upstream, pending).identity.subject == "person-1"
    lazyauth(PROVIDERS={"acme": upstream.config()})
    assert leg(upstream, pending).identity.subject == "person-1"


@pytest.mark.parametrize(
    "jwks",
    [
        [],
        {"keys": []},
        {"keys": "x"},
        {"keys": [{"kty": "oct", "k": "AAAA"}]},
        {"keys": [{**JWKS["keys"][0], "d": "AAAA"}]},
        {"keys": [JWKS["keys"][0]] * 101},
        "https://id.example/jwks",
    ],
)
def test_what_is_no_key_set_is_an_error(jwks):
    """A published private key is no longer private."""
    config = {"issuer": "https://id.example", "client_id": "us", "jwks": jwks}
    with pytest.raises(DescriptorError, match='"jwks" must be a key set'):
        descriptor_from_settings("acme", config)


# --- Trust anchors ----------------------------------------------------------------------------------------


@pytest.fixture
def behind_tls(upstream, tmp_path):
    """The provider at an https address whose certificate no system trusts; its base URL and the file."""
    path = certificate(tmp_path, names=("127.0.0.1",))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=serve, args=(listener, context, upstream.port), daemon=True).start()
    base = f"https://127.0.0.1:{listener.getsockname()[1]}"
    addresses = {"token_endpoint": "token", "jwks_uri": "jwks", "userinfo_endpoint": "userinfo"}
    upstream.control(
        metadata={"issuer": base, **{name: f"{base}/{path}" for name, path in addresses.items()}},
        claims={"iss": base, "email": None},
        callback={"iss": base},
    )
    yield base, path
    listener.close()


def serve(listener, context, port):
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=forward, args=(connection, context, port), daemon=True).start()


def forward(connection, context, port):
    with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as outer:
        request = outer.recv(65536)
        head, _, body = request.partition(b"\r\n\r\n")
        lengths = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
        while lengths and len(body) < int(lengths[0].partition(b":")[2]):
            body += (more := outer.recv(65536))
            request += more
        with socket.create_connection(("127.0.0.1", port)) as inner:
            inner.sendall(request)
            while received := inner.recv(65536):
                outer.sendall(received)


def test_each_request_trusts_the_file_of_the_provider(upstream, behind_tls, pending, lazyauth):
    """Metadata, keys, token request and UserInfo."""
    base, path = behind_tls
    lazyauth(PROVIDERS={"acme": upstream.config(issuer=base, ca_file=path)})
    identity = leg(upstream, pending).identity
    assert (identity.subject, identity.email) == ("person-1", "person-1@userinfo.example")
    asked = {entry["path"] for entry in upstream.requests()}
    assert {"/.well-known/openid-configuration", "/jwks", "/token", "/userinfo"} <= asked


def test_no_other_provider_trusts_it(upstream, behind_tls, pending, lazyauth):
    base, path = behind_tls
    entries = {"acme": upstream.config(issuer=base, ca_file=str(path)), "other": upstream.config(issuer=base)}
    lazyauth(PROVIDERS=entries)
    assert leg(upstream, pending).identity.subject == "person-1"
    with pytest.raises(SourceFailed, match="tls"):
        key_fetch.refresh(key_fetch.configured_descriptor("other"))
    assert ProviderKeySet.objects.get(pk="other").last_error == "tls"


def test_a_certificate_of_another_name_is_refused_all_the_same(upstream, behind_tls, lazyauth):
    base, path = behind_tls
    elsewhere = base.replace("127.0.0.1", "localhost")
    lazyauth(PROVIDERS={"acme": upstream.config(issuer=elsewhere, ca_file=path)})
    with pytest.raises(SourceFailed, match="tls"):
        key_fetch.refresh(key_fetch.configured_descriptor("acme"))


def test_a_file_that_is_replaced_is_read_again(upstream, behind_tls, lazyauth, tmp_path):
    base, path = behind_tls
    copy = tmp_path / "ca.pem"
    (tmp_path / "other").mkdir()
    copy.write_bytes(certificate(tmp_path / "other").read_bytes())
    lazyauth(PROVIDERS={"acme": upstream.config(issuer=base, ca_file=copy)})
    with pytest.raises(SourceFailed, match="tls"):
        key_fetch.refresh(key_fetch.configured_descriptor("acme"))
    copy.write_bytes(path.read_bytes())
    key_fetch.refresh(key_fetch.configured_descriptor("acme"), force=True)
    copy.unlink()
    with pytest.raises(ProviderUnavailable, match="misconfigured"):
        get_provider("acme").prepare()


@pytest.mark.parametrize("content", [None, b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_a_file_without_certificates_is_an_error(tmp_path, content):
    """Spec: readable PEM. The hint names the key and not the path."""
    path = Path(tmp_path) / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    config = {"issuer": "https://id.example", "client_id": "us", "ca_file": path}
    with pytest.raises(DescriptorError, match='"ca_file" must be the path') as caught:
        descriptor_from_settings("acme", config)
    assert str(path) not in caught.value.hint
