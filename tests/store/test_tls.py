"""A store behind TLS, with an authority of its own, is reached by the gate and by the flusher."""

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest
import redis
import uvloop

from gate.settings import load_settings
from gate.store.connections import Connection, Connections, Endpoint
from gate.store.errors import RedisUnavailable
from meter.journals import journal_client
from support.servers import ValkeyServer

_CERTIFICATES = """
set -e
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.pem
for name in localhost client; do
    openssl req -newkey rsa:2048 -nodes -subj /CN=$name -keyout $name.key -out $name.csr
    echo "subjectAltName=DNS:$name" > $name.ext
    openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
        -extfile $name.ext -out $name.pem
done
"""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Makes an authority, and certificates for localhost and for a client."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make certificates with")
    folder = tmp_path_factory.mktemp("certificates")
    subprocess.run(["sh", "-c", _CERTIFICATES], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def tls_port(certificates: Path, valkey: ValkeyServer) -> Iterator[int]:
    """Serves the Valkey with TLS, to whoever has a certificate or none."""
    with _tls_in_front_of(valkey, certificates, ssl.CERT_OPTIONAL) as port:
        yield port


@contextmanager
def _tls_in_front_of(
    valkey: ValkeyServer, certificates: Path, wanted: ssl.VerifyMode
) -> Iterator[int]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=certificates / "ca.pem")
    context.load_cert_chain(certificates / "localhost.pem", certificates / "localhost.key")
    context.verify_mode = wanted
    loop = asyncio.new_event_loop()

    async def lead(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward = await asyncio.open_unix_connection(valkey.socket)
        await asyncio.gather(_pass_on(reader, onward[1]), _pass_on(onward[0], writer))

    server = loop.run_until_complete(asyncio.start_server(lead, "127.0.0.1", 0, ssl=context))
    serving = Thread(target=loop.run_forever, daemon=True)
    serving.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        asyncio.run_coroutine_threadsafe(_end(server), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        serving.join(10)
        loop.close()


async def _end(server: asyncio.Server) -> None:
    server.close()
    passing = asyncio.all_tasks() - {asyncio.current_task()}
    for task in passing:
        task.cancel()
    await asyncio.gather(*passing, return_exceptions=True)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
    except OSError:
        pass  # the other end has gone
    finally:
        writer.close()


def _ping(port: int, options: str, host: str = "localhost") -> bytes:
    """Returns what the store answers to the gate's connection and to the flusher's, if alike."""
    url = load_settings(redis_url=f"rediss://{host}:{port}/0{options}").shared_redis_url()

    async def anyone(_: Connection) -> str:
        return ""

    async def ask() -> bytes:
        connections = Connections(Endpoint(url), count=1, timeout_s=5, prepare=anyone)
        await connections.open()
        try:
            reply: bytes = await connections.command(0, "ECHO", "hello")
            return reply
        finally:
            await connections.close()

    with journal_client(url) as client:
        try:
            told = client.echo("hello")
        except redis.ConnectionError:
            told = None
    try:
        asked = uvloop.run(ask())
    except (OSError, RedisUnavailable):
        assert told is None
        raise
    assert asked == told
    return asked


def test_a_private_authority_is_trusted_when_the_url_names_it(
    certificates: Path, tls_port: int
) -> None:
    assert _ping(tls_port, f"?ssl_ca_certs={certificates}/ca.pem") == b"hello"
    with pytest.raises(ssl.SSLCertVerificationError):
        _ping(tls_port, "")


def test_a_certificate_for_another_name_is_refused_unless_the_url_says_otherwise(
    certificates: Path, tls_port: int
) -> None:
    trusted = f"?ssl_ca_certs={certificates}/ca.pem"
    with pytest.raises(ssl.SSLCertVerificationError):
        _ping(tls_port, trusted, "127.0.0.1")
    assert _ping(tls_port, f"{trusted}&ssl_check_hostname=false", "127.0.0.1") == b"hello"
    assert _ping(tls_port, "?ssl_cert_reqs=none", "127.0.0.1") == b"hello"


def test_a_server_that_wants_a_certificate_gets_the_one_of_the_url(
    certificates: Path, valkey: ValkeyServer
) -> None:
    own = f"&ssl_certfile={certificates}/client.pem&ssl_keyfile={certificates}/client.key"
    trusted = f"?ssl_ca_certs={certificates}/ca.pem"
    with _tls_in_front_of(valkey, certificates, ssl.CERT_REQUIRED) as port:
        assert _ping(port, trusted + own) == b"hello"
        with pytest.raises((OSError, RedisUnavailable)):
            _ping(port, trusted)


def test_a_file_that_is_no_certificate_is_told(certificates: Path, tls_port: int) -> None:
    with pytest.raises(RedisUnavailable, match="the certificates of the store's URL"):
        _ping(tls_port, f"?ssl_ca_certs={certificates}/ca.key")
