"""A cluster that wants TLS and passwords: the options pass through, and no secret is ever told."""

import datetime as dt
import logging
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import orjson
import pytest
import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from connectors import kafka_options
from connectors.kafka_options import (
    OURS,
    client_options,
    consumer_options,
    producer_options,
    transaction_options,
    use_options,
)
from connectors.log import FencedError, LogError, NewRecord, TopicConfig, open_log
from infra.kafka.artifacts import BrokerError
from infra.kafka.broker import running_broker
from serving.settings import SettingsError
from serving.settings_sources import load_settings, program_environment
from tests.conftest import skip_or_fail

_PASSWORD = "correct-horse-7"
_OVERLAY = """
listener.security.protocol.map=SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT
inter.broker.listener.name=SASL_SSL
sasl.enabled.mechanisms=SCRAM-SHA-512,PLAIN
sasl.mechanism.inter.broker.protocol=SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username="broker" password="between-brokers";
listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_desk="{password}";
ssl.keystore.type=PEM
ssl.keystore.location={folder}/broker.pem
ssl.truststore.type=PEM
ssl.truststore.location={folder}/ca.pem
"""


@pytest.fixture(autouse=True)
def no_options_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_options, "_GIVEN", {})


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Address of a broker with SASL over TLS, and the certificate of who signed its own."""
    folder = tmp_path_factory.mktemp("tls")
    _certificates(folder)
    try:
        with running_broker(
            overlay=_OVERLAY.format(folder=folder, password=_PASSWORD),
            protocol="SASL_SSL",
            users={"desk": _PASSWORD, "broker": "between-brokers"},
        ) as broker:
            yield broker.address, folder / "ca.pem"
    except BrokerError as error:
        skip_or_fail("kafka", str(error))


@pytest.mark.kafka
@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "PLAIN"])
def test_the_whole_log_works_over_tls_with_a_password_from_the_settings(
    secured: tuple[str, Path], mechanism: str
) -> None:
    address, authority = secured
    settings = load_settings(
        {
            "TAPEFLOW_LOG": f"kafka://{address}",
            "TAPEFLOW_KAFKA_OPTIONS": orjson.dumps(_options(authority, mechanism)).decode(),
        }
    )
    topic = f"tls-{mechanism}"
    with open_log(settings.log) as log:
        log.create_topic(TopicConfig(name=topic, partitions=3))
        log.append([NewRecord(topic, 0, b"appended")])
        with log.writer(topic) as old, log.writer(topic) as writer:
            with pytest.raises(FencedError):
                old.commit([NewRecord(topic, 0, b"old")], 1)
            writer.commit([NewRecord(topic, 0, b"committed"), NewRecord(topic, 2, b"x")], 1)
        assert [record.value for record in log.read(topic, 0, 0).records] == [
            b"appended",
            b"committed",
        ]
        log.note_positions("tapeflow.tls", {(topic, 0): 1})


@pytest.mark.kafka
@pytest.mark.parametrize(
    ("spoilt", "said"),
    [
        ("sasl.password", "Invalid username or password"),
        ("ssl.ca.location", "certificate verify failed"),
        ("everything", "kafka_options"),
    ],
)
def test_a_refusal_is_an_error_that_says_why_without_the_secret(
    secured: tuple[str, Path],
    spoilt: str,
    said: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    address, authority = secured
    _certificates(tmp_path)
    options = _options(authority, "PLAIN")
    changed = {"sasl.password": "not-the-secret", "ssl.ca.location": str(tmp_path / "ca.pem")}
    if spoilt == "everything":
        options = {}
    else:
        options[spoilt] = changed[spoilt]
    url = f"kafka://{address}"
    with caplog.at_level(logging.DEBUG):
        use_options(url, options)
        with pytest.raises(LogError, match="no Kafka broker answers") as raised:
            open_log(url)
    assert said in str(raised.value)
    for told in (str(raised.value), caplog.text):
        assert _PASSWORD not in told
        assert "not-the-secret" not in told


def test_started_programs_get_the_secrets_and_nothing_shows_them(tmp_path: Path) -> None:
    environment = {
        "TAPEFLOW_HOME": str(tmp_path),
        "TAPEFLOW_LOG": "kafka://127.0.0.1:1",
        "TAPEFLOW_KAFKA_OPTIONS": orjson.dumps({"sasl.password": _PASSWORD}).decode(),
        "TAPEFLOW_SCHEMA_REGISTRY": f"http://desk:{_PASSWORD}@127.0.0.1:8081",
    }
    settings = load_settings(environment)
    shown = f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"
    assert _PASSWORD not in shown
    with structlog.testing.capture_logs() as lines:
        structlog.get_logger().info("settings", settings=settings)
    assert _PASSWORD not in str(lines)
    passed = program_environment(settings)
    again = load_settings({name: passed[name] for name in passed if name.startswith("TAPEFLOW_")})
    assert again == settings


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"sasl.pasword": _PASSWORD}, "sasl.pasword"),
        ({"security.protocol": _PASSWORD}, "security.protocol"),
        ({"acks": "1"}, "acks cannot be set"),
        ({"isolation.level": "read_uncommitted"}, "isolation.level cannot be set"),
        ({"enable.idempotence": "false"}, "enable.idempotence cannot be set"),
        ({"logger": "x"}, "logger cannot be set"),
        ({"message.send.max.retries": "0"}, "`retries` must be set"),
        ({"ssl.ca.location": "nowhere.pem", "security.protocol": "ssl"}, "ssl.ca.location"),
    ],
)
def test_an_option_that_cannot_be_is_an_error_that_names_it_and_no_value(
    options: dict[str, str], said: str
) -> None:
    environment = {
        "TAPEFLOW_LOG": "kafka://127.0.0.1:1",
        "TAPEFLOW_KAFKA_OPTIONS": orjson.dumps(options).decode(),
    }
    with pytest.raises(SettingsError, match=said) as raised:
        load_settings(environment)
    assert _PASSWORD not in str(raised.value)
    assert "KAFKA_OPTIONS" in str(raised.value)


def test_a_password_in_the_logs_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(LogError, match="kafka_options") as raised:
        open_log(f"kafka://desk:{_PASSWORD}@127.0.0.1:1")
    assert _PASSWORD not in str(raised.value)


def test_kafka_options_beside_another_log_and_a_registry_of_no_address_are_errors() -> None:
    with pytest.raises(SettingsError, match="of no use with log"):
        load_settings({"TAPEFLOW_KAFKA_OPTIONS": '{"sasl.username": "desk"}'})
    with pytest.raises(SettingsError, match="must begin with http") as raised:
        load_settings({"TAPEFLOW_SCHEMA_REGISTRY": f"desk:{_PASSWORD}@host"})
    assert _PASSWORD not in str(raised.value)
    for mark in "/#?":
        # The rest of the password would be read as a port, and told.
        url = f"http://desk:secret{mark}{_PASSWORD}@host:8081"
        with pytest.raises(SettingsError, match="write %2F") as raised:
            load_settings({"TAPEFLOW_SCHEMA_REGISTRY": url})
        assert "secret" not in str(raised.value)


def test_what_exactly_once_hangs_on_is_said_explicitly_and_is_not_the_operators() -> None:
    bootstrap = "127.0.0.1:9092"
    use_options(f"kafka://{bootstrap}", {"compression.type": "zstd", "socket.timeout.ms": "5000"})
    producer = producer_options(bootstrap)
    transactions = transaction_options(bootstrap, "tapeflow.bars/0")
    consumer = consumer_options(bootstrap, fetch_wait_ms=1)
    for options in (producer, transactions):
        assert (options["acks"], options["enable.idempotence"]) == ("all", True)
        assert options["compression.type"] == "zstd"
        assert options["socket.timeout.ms"] == "5000"
    assert transactions["transactional.id"] == "tapeflow.bars/0"
    assert consumer["isolation.level"] == "read_committed"
    assert consumer["enable.auto.commit"] is False
    assert consumer["auto.offset.reset"] == "error"
    assert {"acks", "enable.idempotence", "isolation.level", "enable.auto.commit"} <= OURS
    elsewhere = "127.0.0.1:9093"
    assert producer_options(elsewhere)["compression.type"] == "lz4"
    assert "sasl.password" not in client_options(elsewhere)


def _options(authority: Path, mechanism: str) -> dict[str, str]:
    return {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": mechanism,
        "sasl.username": "desk",
        "sasl.password": _PASSWORD,
        "ssl.ca.location": str(authority),
    }


def _certificates(folder: Path) -> None:
    """An authority, and a broker's key and certificate signed by it, as PEM."""
    keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("ca", "broker")}
    names = {
        name: x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"tapeflow test {name}")])
        for name in keys
    }
    now = dt.datetime.now(dt.UTC)

    def signed(name: str, extension: x509.ExtensionType) -> bytes:
        certificate = (
            x509.CertificateBuilder()
            .subject_name(names[name])
            .issuer_name(names["ca"])
            .public_key(keys[name].public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(extension, critical=name == "ca")
            .sign(keys["ca"], hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.PEM)

    authority = signed("ca", x509.BasicConstraints(ca=True, path_length=None))
    own = signed("broker", x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]))
    key = keys["broker"].private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / "ca.pem").write_bytes(authority)
    (folder / "broker.pem").write_bytes(key + own + authority)
