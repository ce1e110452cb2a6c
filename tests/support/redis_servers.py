"""Redis servers of a test's own: with TLS, behind Sentinel, as a Cluster of three nodes.

Each needs the ``redis-server`` binary. The processes end with the test.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import redis
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from example_project.servers import free_port
from tests.support.processes import until

HOST = "127.0.0.1"


@contextmanager
def redis_server(directory: Path, port: int, *options: str, sentinel: bool = False) -> Iterator[None]:
    """Run a server without persistence."""
    if shutil.which("redis-server") is None:
        pytest.skip("needs redis-server as a service")
    directory.mkdir(exist_ok=True)
    arguments = ["--dir", str(directory), "--bind", HOST, "--save", "", *options]
    if sentinel:
        configuration = directory / "sentinel.conf"
        lines = [f"port {port}", f"bind {HOST}", f"dir {directory}", *options]
        configuration.write_text("\n".join(lines))
        arguments = [str(configuration), "--sentinel"]
    elif "--port" not in options:
        arguments += ["--port", str(port)]
    log = (directory / "log").open("wb")
    with log, subprocess.Popen(["redis-server", *arguments], stdout=log, stderr=log) as process:
        try:
            yield
        finally:
            process.kill()


def answers(client: Any) -> None:
    def is_up() -> bool:
        try:
            return bool(client.ping())
        except (redis.RedisError, OSError):
            return False

    until(is_up)


@contextmanager
def tls_server(directory: Path, password: str) -> Iterator[tuple[str, Path]]:
    """Run a server that speaks TLS only. Yield its address, and its certificate as a file."""
    port, certificate, key = free_port(), directory / "certificate.pem", directory / "key.pem"
    _write_certificate(certificate, key)
    options = ["--port", "0", "--tls-port", str(port), "--tls-cert-file", str(certificate)]
    options += ["--tls-key-file", str(key), "--tls-ca-cert-file", str(certificate)]
    options += ["--tls-auth-clients", "no", "--requirepass", password]
    with redis_server(directory, port, *options):
        answers(redis.Redis(HOST, port, ssl=True, ssl_ca_certs=str(certificate), password=password))
        yield f"{HOST}:{port}", certificate


@contextmanager
def sentinel(directory: Path, service: str, password: str) -> Iterator[str]:
    """Run a server and a Sentinel that watches it. Yield the address of the Sentinel."""
    data, port = free_port(), free_port()
    watch = [f"sentinel monitor {service} {HOST} {data} 1", f"sentinel auth-pass {service} {password}"]
    with (
        redis_server(directory / "data", data, "--requirepass", password),
        redis_server(directory / "sentinel", port, *watch, sentinel=True),
    ):
        answers(redis.Redis(HOST, data, password=password))
        answers(redis.Redis(HOST, port))
        yield f"{HOST}:{port}"


@contextmanager
def cluster(directory: Path, password: str) -> Iterator[list[str]]:
    """Run a Cluster of three masters. Yield their addresses."""
    ports = [free_port() for _ in range(3)]
    options = ["--cluster-enabled", "yes", "--requirepass", password, "--masterauth", password]
    options += ["--cluster-node-timeout", "2000"]
    with ExitStack() as running:
        for port in ports:
            bus = ["--cluster-port", str(free_port())]
            running.enter_context(redis_server(directory / str(port), port, *options, *bus))
            answers(redis.Redis(HOST, port, password=password))
        nodes = [f"{HOST}:{port}" for port in ports]
        done = subprocess.run(
            ["redis-cli", "-a", password, "--cluster", "create", *nodes, "--cluster-yes"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        yield nodes


def _write_certificate(certificate: Path, key: Path) -> None:
    private, name = (
        ec.generate_private_key(ec.SECP256R1()),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)]),
    )
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(HOST))]), critical=False)
        .sign(private, hashes.SHA256())
    )
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
