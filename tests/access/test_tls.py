"""TLS of the gate: who is let in, with which certificates, and how they are renewed."""

import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.request import urlopen

import pytest
import trustme

from gate.cli.app import main
from gate.client import CallFailed, Client, OutcomeUnknown, Tls
from gate.server.certificate import not_after
from gate.settings import SettingsError
from support.doors import Doors
from support.servers import wait_until
from support.stack import free_address

pytest_plugins = ("support.running_doors",)

HOST = "127.0.0.1"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


class Files:
    """The files of one side, under names of their own."""

    def __init__(self, folder: Path, name: str) -> None:
        self.cert_file = folder / f"{name}.pem"
        self.key_file = folder / f"{name}.key"

    def write(self, certificate: trustme.LeafCert) -> "Files":
        # The key first: a server that looks between the two keeps what it has.
        self.key_file.write_bytes(certificate.private_key_pem.bytes())
        self.cert_file.write_bytes(b"".join(pem.bytes() for pem in certificate.cert_chain_pems))
        return self


@pytest.fixture
def server_files(tmp_path: Path, authority: trustme.CA) -> Files:
    return Files(tmp_path, "server").write(authority.issue_cert(HOST))


@pytest.fixture
def ca_file(tmp_path: Path, authority: trustme.CA) -> Path:
    path = tmp_path / "ca.pem"
    path.write_bytes(authority.cert_pem.bytes())
    return path


@contextmanager
def client_of(doors: Doors, address: str, **tls: Path) -> Iterator[Client]:
    with Client(address, timeout_s=1.0, token=doors.tokens["admin"], tls=Tls(**tls)) as client:
        yield client


def is_served(doors: Doors, address: str, **tls: Path) -> bool:
    """Whether a client of these files reaches the gate."""
    with client_of(doors, address, **tls) as client:
        try:
            client.get_balance(account_id="nobody")
        except OutcomeUnknown:
            return False
        except CallFailed as answered:
            return answered.reason == "ACCOUNT_NOT_FOUND"
    raise AssertionError("nobody has a balance")


def test_a_client_is_served_by_tls_if_it_trusts_the_authority(
    doors: Doors, server_files: Files, ca_file: Path, tmp_path: Path
) -> None:
    other_ca = tmp_path / "other.pem"
    other_ca.write_bytes(trustme.CA().cert_pem.bytes())
    with doors.another_gate(
        tls_cert_file=server_files.cert_file, tls_key_file=server_files.key_file
    ) as address:
        assert is_served(doors, address, ca_file=ca_file)
        assert not is_served(doors, address, ca_file=other_ca)
        plain = Client(address, timeout_s=0.5, token=doors.tokens["admin"])
        with plain, pytest.raises(OutcomeUnknown):
            plain.get_balance(account_id="nobody")


def test_a_client_shows_a_certificate_of_the_right_authority_where_one_is_asked_for(
    doors: Doors, server_files: Files, ca_file: Path, tmp_path: Path, authority: trustme.CA
) -> None:
    own = Files(tmp_path, "own").write(authority.issue_cert("client"))
    foreign = Files(tmp_path, "foreign").write(trustme.CA().issue_cert("client"))
    with doors.another_gate(
        tls_cert_file=server_files.cert_file,
        tls_key_file=server_files.key_file,
        tls_client_ca_file=ca_file,
    ) as address:
        assert is_served(doors, address, ca_file=ca_file, **vars(own))
        assert not is_served(doors, address, ca_file=ca_file)
        assert not is_served(doors, address, ca_file=ca_file, **vars(foreign))


def test_a_renewed_certificate_is_taken_up_and_a_broken_one_is_not(
    doors: Doors, ca_file: Path, tmp_path: Path, authority: trustme.CA
) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    files = Files(tmp_path, "server")
    files.write(authority.issue_cert(HOST, not_after=yesterday))
    with doors.another_gate(tls_cert_file=files.cert_file, tls_key_file=files.key_file) as address:
        assert not is_served(doors, address, ca_file=ca_file), "it has expired"
        files.write(authority.issue_cert(HOST))
        wait_until(lambda: is_served(doors, address, ca_file=ca_file))
        files.key_file.write_bytes(trustme.CA().issue_cert(HOST).private_key_pem.bytes())
        assert is_served(doors, address, ca_file=ca_file)


def test_http_is_served_by_tls_too(doors: Doors, server_files: Files, ca_file: Path) -> None:
    http_listen = free_address()
    context = ssl.create_default_context(cafile=str(ca_file))
    with doors.another_gate(
        tls_cert_file=server_files.cert_file,
        tls_key_file=server_files.key_file,
        http_listen=http_listen,
    ):
        with urlopen(f"https://{http_listen}/healthz", context=context, timeout=10) as reply:
            assert reply.status == 200
        connection = HTTPConnection(http_listen, timeout=10)
        connection.request("GET", "/healthz")
        with pytest.raises((HTTPException, OSError)):
            connection.getresponse()
        connection.close()


def test_a_command_connects_by_tls(
    doors: Doors,
    server_files: Files,
    ca_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with doors.another_gate(
        tls_cert_file=server_files.cert_file, tls_key_file=server_files.key_file
    ) as address:
        environment = doors.environment("grpcio") | {
            "CREDITGATE_LISTEN": address,
            "CREDITGATE_TLS_CA_FILE": str(ca_file),
        }
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["creditgate", "account", "list"])
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code


def test_a_certificate_without_its_key_stops_the_start(
    doors: Doors, server_files: Files, tmp_path: Path, authority: trustme.CA
) -> None:
    other = Files(tmp_path, "other").write(authority.issue_cert(HOST))
    gate = doors.another_gate(tls_cert_file=server_files.cert_file, tls_key_file=other.key_file)
    problem = r"CREDITGATE_TLS_CERT_FILE='.*server.pem': "
    with pytest.raises(SettingsError, match=problem), gate:
        pass


def test_the_native_transport_has_no_tls_and_says_what_has(
    doors: Doors, server_files: Files
) -> None:
    gate = doors.another_gate(
        transport="native",
        tls_cert_file=server_files.cert_file,
        tls_key_file=server_files.key_file,
    )
    problem = "CREDITGATE_TRANSPORT='native': it has no TLS"
    with pytest.raises(SettingsError, match=problem), gate:
        pass


@pytest.mark.parametrize("year", [2027, 2049, 2050, 2123])
def test_the_end_of_a_certificate_is_read_in_both_of_its_forms(
    authority: trustme.CA, year: int
) -> None:
    ends = datetime(year, 3, 4, 5, 6, 7, tzinfo=UTC)
    certificate = authority.issue_cert(HOST, not_after=ends)
    assert not_after(certificate.cert_chain_pems[0].bytes().decode()) == ends


@pytest.mark.parametrize("text", ["", "x", "-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_what_is_no_certificate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no certificate"):
        not_after(text)
