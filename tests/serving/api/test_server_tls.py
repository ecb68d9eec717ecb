"""TLS of `tapeflow serve`, and that it listens beyond loopback with it only, or by word."""

import datetime as dt
import ipaddress
import ssl
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import ValidationError

from serving.settings import Settings
from tests.serving.api.servers import server, tapeflow
from tests.serving.api.signed_in import PASSWORD


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert, private = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return cert, private


def test_it_serves_tls(home: Path, tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    with server(home, TAPEFLOW_API_TLS_CERT=str(cert), TAPEFLOW_API_TLS_KEY=str(key)) as running:
        assert running.url.startswith("https://")
        trust = ssl.create_default_context(cafile=str(cert))
        answer = httpx.post(
            f"{running.url}/v1/sign-in",
            json={"user": "tess", "password": PASSWORD, "cookie": True},
            verify=trust,
            timeout=30,
        )
        assert answer.status_code == 200
        assert "Secure" in answer.headers["set-cookie"]
        assert "Strict-Transport-Security" in answer.headers
        with pytest.raises(httpx.HTTPError):
            httpx.get(running.url.replace("https:", "http:"))


def test_a_certificate_that_cannot_be_used_is_told(home: Path, tmp_path: Path) -> None:
    (tmp_path / "not.pem").write_text("no certificate")
    path = str(tmp_path / "not.pem")
    done = tapeflow(home, "serve", TAPEFLOW_API_TLS_CERT=path, TAPEFLOW_API_TLS_KEY=path)
    assert done.returncode == 1
    assert "see api_tls_cert and api_tls_key" in done.stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "tapeflow.internal"])
def test_beyond_loopback_it_needs_tls_or_a_word(host: str) -> None:
    with pytest.raises(ValidationError, match="beyond loopback"):
        Settings(api_host=host)
    Settings(api_host=host, api_plain=True)
    Settings(api_host=host, api_tls_cert="c", api_tls_key="k")
    with pytest.raises(ValidationError, match="belong together"):
        Settings(api_host=host, api_tls_cert="c")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_needs_nothing(host: str) -> None:
    assert Settings(api_host=host).api_host == host
