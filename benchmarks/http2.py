"""Just enough HTTP/2 to make unary gRPC calls faster than a Python server can answer them.

Requests go out as frames prepared beforehand: a HEADERS block of literals (no dynamic table, so
that it is the same bytes for every call) and one DATA frame. Of the replies only what matters is
read: the message, and whether the trailers say `grpc-status: 0`.
"""

import select
import socket
from collections import deque
from dataclasses import dataclass
from functools import lru_cache
from struct import Struct
from typing import NamedTuple

DATA = 0
HEADERS = 1
RST_STREAM = 3
SETTINGS = 4
PING = 6
GOAWAY = 7
WINDOW_UPDATE = 8
_END_STREAM = 0x1
_ACK = 0x1
_END_HEADERS = 0x4
_HEADER_TABLE_SIZE = 1
_ENABLE_PUSH = 2
_MAX_STREAMS = 3
_INITIAL_WINDOW = 4

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_FRAME = Struct("!BHBBI")  # length in two parts, type, flags, stream
_DATA = Struct("!BHBBIBI")  # a DATA frame's header, and gRPC's before the message
_SETTING = Struct("!HI")
_WINDOW_BYTES = 2**31 - 1
_OWN_WINDOW_BYTES = 65_535  # what a peer may be sent before its first WINDOW_UPDATE
_MAX_FRAME_BYTES = 16_384
_TOP_UP_BYTES = 2**30
_LAST_STREAM = 2**31 - 1
_RECEIVE_BYTES = 1 << 16

# `grpc-status: 0` as a literal, each part plain or in HPACK's Huffman code.
_NAMES = (b"\x0bgrpc-status", b"\x88\x9a\xca\xc8\xb2\x12\x34\xda\x8f")
_ZEROS = (b"\x010", b"\x81\x07")
_STATUS_OK = tuple(name + zero for name in _NAMES for zero in _ZEROS)


class CallFailed(Exception):
    """A call of `ask` was answered with an error; the text is its trailers."""


class ConnectionLost(Exception):
    """The server closed the connection, or speaks what is not understood here."""


@dataclass(frozen=True, slots=True)
class Method:
    """An RPC's HEADERS block, made once."""

    path: str
    block: bytes

    @classmethod
    def of(cls, path: str) -> "Method":
        literals = (
            b"\x04" + _text(path),
            b"\x01" + _text("localhost"),
            b"\x0f\x10" + _text("application/grpc"),
        )
        trailers = b"\x00" + _text("te") + _text("trailers")
        return cls(
            path, b"\x83\x86" + b"".join(literals) + trailers
        )  # POST, http, path, authority, content-type, te


class Reply(NamedTuple):
    """What a call came to.

    `message` is None unless the server sent one and said that all went well.
    """

    stream: int
    message: bytes | None
    trailers: bytes


class Connection:
    """One connection.

    `call` queues, `flush` sends, `receive` returns what has come; none of them waits.
    """

    def __init__(self, address: tuple[str, int]) -> None:
        self._socket = socket.create_connection(address)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setblocking(False)
        settings = _SETTING.pack(_HEADER_TABLE_SIZE, 0) + _SETTING.pack(_ENABLE_PUSH, 0)
        settings += _SETTING.pack(_INITIAL_WINDOW, _WINDOW_BYTES)
        self._out = [
            _PREFACE,
            _frame(SETTINGS, 0, 0, settings),
            _window_update(_WINDOW_BYTES - _OWN_WINDOW_BYTES),
        ]
        self._unsent = b""
        self._rest = b""
        self._messages: dict[int, bytes] = {}
        self._next_stream = 1
        self._send_window = _OWN_WINDOW_BYTES
        self._waiting: deque[tuple[bytes, int]] = (
            deque()
        )  # calls for which the server has given no window yet
        self._received = 0
        self.max_streams = 100  # until the server's SETTINGS say otherwise
        self.is_spent = (
            False  # takes no new calls: its stream ids are used up, or the server said GOAWAY
        )

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    @property
    def wants_to_send(self) -> bool:
        return bool(self._unsent or self._out)

    def call(self, method: Method, message: bytes) -> int:
        """Queues a call; its stream id."""
        stream = self._next_stream
        size = len(message) + 5
        assert size <= _MAX_FRAME_BYTES, "a message has to fit into one frame"
        self._next_stream += 2
        self.is_spent = self.is_spent or self._next_stream > _LAST_STREAM
        headers = _FRAME.pack(0, len(method.block), HEADERS, _END_HEADERS, stream)
        data = _DATA.pack(0, size, DATA, _END_STREAM, stream, 0, len(message))
        frames = b"".join((headers, method.block, data, message))
        if self._waiting or size > self._send_window:
            self._waiting.append((frames, size))
        else:
            self._send_window -= size
            self._out.append(frames)
        return stream

    def flush(self) -> None:
        """Sends what is queued, as far as the socket takes it."""
        if not self.wants_to_send:
            return
        data = self._unsent + b"".join(self._out)
        self._out.clear()
        try:
            self._unsent = data[self._socket.send(data) :]
        except BlockingIOError:
            self._unsent = data

    def receive(self) -> list[Reply]:
        """The calls that have ended since.

        ConnectionLost: those in flight will never be answered.
        """
        try:
            data = self._socket.recv(_RECEIVE_BYTES)
        except BlockingIOError:
            return []
        if not data:
            raise ConnectionLost("closed by the server")
        data = self._rest + data
        replies: list[Reply] = []
        at = 0
        while len(data) - at >= _FRAME.size:
            high, low, kind, flags, stream = _FRAME.unpack_from(data, at)
            start = at + _FRAME.size
            end = start + (high << 16 | low)
            if end > len(data):
                break
            if kind == DATA:
                self._received += end - start
                self._messages[stream] = self._messages.get(stream, b"") + data[start:end]
            elif kind == HEADERS:
                if flags & _END_STREAM:
                    replies.append(self._ended(stream, data[start:end]))
            else:
                self._control(kind, flags, stream, data[start:end], replies)
            at = end
        self._rest = data[at:]
        if self._received > _TOP_UP_BYTES:
            self._out.append(_window_update(self._received))
            self._received = 0
        return replies

    def _ended(self, stream: int, trailers: bytes) -> Reply:
        framed = self._messages.pop(stream, None)
        return Reply(
            stream, framed[5:] if framed is not None and _say_ok(trailers) else None, trailers
        )

    def _control(
        self, kind: int, flags: int, stream: int, payload: bytes, replies: list[Reply]
    ) -> None:
        if kind == SETTINGS and not flags & _ACK:
            self._settings(payload)
        elif kind == PING and not flags & _ACK:
            self._out.append(_frame(PING, _ACK, 0, payload))
        elif kind == WINDOW_UPDATE and stream == 0:
            self._send_window += int.from_bytes(payload, "big")
            while self._waiting and self._waiting[0][1] <= self._send_window:
                frames, size = self._waiting.popleft()
                self._send_window -= size
                self._out.append(frames)
        elif kind == RST_STREAM:
            self._messages.pop(stream, None)
            replies.append(Reply(stream, None, b"reset by the server"))
        elif kind == GOAWAY:
            self.is_spent = True

    def _settings(self, payload: bytes) -> None:
        for name, value in _SETTING.iter_unpack(payload):
            if name == _MAX_STREAMS:
                self.max_streams = value
        self._out.append(_frame(SETTINGS, _ACK, 0, b""))


def ask(address: tuple[str, int], path: str, message: bytes) -> bytes:
    """One call over a connection of its own, awaited; CallFailed if it ends with an error."""
    connection = Connection(address)
    try:
        connection.call(Method.of(path), message)
        replies: list[Reply] = []
        while not replies:
            connection.flush()
            select.select((connection,), (), (), 0.1)
            replies = connection.receive()
    finally:
        connection.close()
    if replies[0].message is None:
        raise CallFailed(f"{path}: {replies[0].trailers!r}")
    return replies[0].message


@lru_cache(maxsize=64)
def _say_ok(trailers: bytes) -> bool:
    return any(ok in trailers for ok in _STATUS_OK)


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return _FRAME.pack(len(payload) >> 16, len(payload) & 0xFFFF, kind, flags, stream) + payload


def _window_update(size: int) -> bytes:
    return _frame(WINDOW_UPDATE, 0, 0, size.to_bytes(4, "big"))


def _text(value: str) -> bytes:
    return bytes([len(value)]) + value.encode()
