"""Posting to a real receiver: TLS, names, slow and dead receivers, redirects."""

import socket
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from meter.networks import networks_of
from meter.notifications.pinned_post import Answer, PinnedPost
from meter.notifications.public_addresses import AddressRules
from support.receivers import Receiver, dripping, endless, receiver, status
from support.stack import free_port

LOOPBACK = AddressRules(networks_of("127.0.0.0/8,::1/128"))


@pytest.fixture(scope="module")
def listening() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


@pytest.fixture
def post(listening: Receiver) -> PinnedPost:
    listening.requests.clear()
    listening.reply = status(204)
    return PinnedPost(LOOPBACK, listening.trust)


def sent(post: PinnedPost, url: str) -> Answer:
    return post.send(urlsplit(url), b"{}", {"webhook-id": "evt_1"})


def test_a_request_arrives_with_its_path_headers_and_body(
    post: PinnedPost, listening: Receiver
) -> None:
    listening.reply = status(201, "thank\x00s")
    assert sent(post, listening.url(path="/a/b?c=d")) == Answer(201, "thanks")
    [request] = listening.requests
    assert (request.path, request.body) == ("/a/b?c=d", b"{}")
    assert request.headers["host"] == f"localhost:{listening.port}"
    assert request.headers["webhook-id"] == "evt_1"


def test_a_redirect_is_an_answer_and_is_not_followed(post: PinnedPost, listening: Receiver) -> None:
    listening.reply = status(302, Location=listening.url(path="/elsewhere"))
    assert sent(post, listening.url()).status == 302
    assert [request.path for request in listening.requests] == ["/hook"]


def test_a_receiver_that_does_not_come_to_an_end_is_left(
    post: PinnedPost, listening: Receiver
) -> None:
    listening.reply = dripping
    hasty = replace(post, timeout_s=0.3)
    assert sent(hasty, listening.url()) == Answer(0, "no answer within 0.3 s", timed_out=True)


def test_a_status_counts_though_the_text_does_not_end(
    post: PinnedPost, listening: Receiver
) -> None:
    listening.reply = endless
    answer = sent(post, listening.url())
    assert (answer.status, answer.text) == (200, "x" * 1024)


def test_a_receiver_that_accepts_and_says_nothing_times_out(post: PinnedPost) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        hasty = replace(post, timeout_s=0.3)
        assert sent(hasty, f"https://localhost:{port}/").timed_out


def test_a_dead_receiver_is_told_as_refused(post: PinnedPost) -> None:
    answer = sent(post, f"https://127.0.0.1:{free_port()}/")
    assert answer.status == 0
    assert "refused" in answer.text


def test_a_certificate_for_another_name_or_of_nobody_is_not_trusted(
    post: PinnedPost, listening: Receiver
) -> None:
    other_name = sent(post, listening.url("127.0.0.1"))
    with receiver() as stranger:
        unknown = sent(post, stranger.url())
        assert not stranger.requests
    for answer in (other_name, unknown):
        assert answer.status == 0
        assert answer.text.startswith("the certificate is not trusted")
    assert not listening.requests


def test_a_name_is_resolved_once_and_no_second_answer_counts(
    post: PinnedPost, listening: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve = socket.getaddrinfo
    asked: list[str] = []

    def rebinding(host: str, port: int, *rest: object, **options: object) -> object:
        asked.append(host)
        if asked.count("rebinding.example") > 1:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("169.254.169.254", port))]
        return resolve(host.replace("rebinding.example", "127.0.0.1"), port, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    with receiver("rebinding.example") as found:
        answer = sent(replace(post, trust=found.trust), found.url("rebinding.example"))
    assert answer.status == 204
    assert asked.count("rebinding.example") == 1


def test_nothing_is_sent_to_an_address_that_is_not_allowed(
    post: PinnedPost, listening: Receiver
) -> None:
    strict = replace(post, rules=AddressRules())
    for host in ("localhost", "127.0.0.1", "0x7f000001", "[::ffff:127.0.0.1]"):
        answer = sent(strict, listening.url(host))
        assert answer.status == 0
        assert "not public" in answer.text
    assert not listening.requests


def test_plain_http_goes_to_listed_addresses_alone(post: PinnedPost) -> None:
    with receiver(tls=False) as plain:
        assert sent(post, plain.url()).status == 204
        strict = replace(post, rules=AddressRules(networks_of("10.0.0.0/8")))
        assert sent(strict, plain.url()).status == 0
        assert len(plain.requests) == 1
