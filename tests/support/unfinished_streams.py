"""Opens many streams on one connection and ends none: each begins a message, and sends as much of
the message as the server lets it.

No gRPC library sends half a message, so the frames of HTTP/2 are written here.
"""

import select
import socket
import struct
import threading
from types import TracebackType
from typing import Self

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _SETTINGS, _PING, _WINDOW_UPDATE = 0, 1, 4, 6, 8
_ACK, _END_HEADERS = 1, 4
_MAX_STREAMS, _INITIAL_WINDOW = 3, 4  # of SETTINGS
_FRAME_BYTES = 16_384
_MESSAGE_BYTES = 4_000_000  # fewer than the gate takes, so that nothing is refused for its size
_AT_ONCE_BYTES = 512 * 1024


class UnfinishedStreams:
    """Sends in a thread for the length of a block, or until the server closes the connection."""

    def __init__(self, target: str, path: str, streams: int) -> None:
        host, _, port = target.rpartition(":")
        self._socket = socket.create_connection((host, int(port)))
        self._thread = threading.Thread(target=self._run)
        self._received = bytearray()
        self._to_send = bytearray(_PREFACE + _frame(_SETTINGS, 0, 0))
        self._window = self._initial_window = 65_535
        self._windows = dict.fromkeys(range(1, 2 * streams, 2), self._initial_window)
        self._left = dict.fromkeys(self._windows, _MESSAGE_BYTES - 1)
        self.max_streams = 0  # that the server allows; 0: not told yet
        for stream in self._windows:
            self._begin(stream, path)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self.is_closed:
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    @property
    def is_closed(self) -> bool:
        """Tells whether the server has closed the connection."""
        return not self._thread.is_alive()

    def _begin(self, stream: int, path: str) -> None:
        self._to_send += _frame(_HEADERS, _END_HEADERS, stream, _header_block(path))
        self._send(stream, b"\0" + struct.pack(">I", _MESSAGE_BYTES))

    def _send(self, stream: int, part: bytes) -> None:
        self._to_send += _frame(_DATA, 0, stream, part)
        self._window -= len(part)
        self._windows[stream] -= len(part)

    def _run(self) -> None:
        try:
            while True:
                self._go_on()
                writing = [self._socket] if self._to_send else []
                readable, writable, _ = select.select([self._socket], writing, [])
                if readable and not self._receive():
                    return
                if writable:
                    del self._to_send[: self._socket.send(self._to_send[:_AT_ONCE_BYTES])]
        except ConnectionError:
            return

    def _go_on(self) -> None:
        """Puts together what the server's windows let through."""
        for stream, left in self._left.items():
            size = min(left, self._windows[stream], self._window, _FRAME_BYTES)
            if size > 0 and len(self._to_send) < _AT_ONCE_BYTES:
                self._send(stream, bytes(size))
                self._left[stream] -= size

    def _receive(self) -> bool:
        """Reads what the server says; tells whether there may be more."""
        received = self._socket.recv(_AT_ONCE_BYTES)
        self._received += received
        while len(self._received) >= 9:
            end = 9 + int.from_bytes(self._received[:3], "big")
            if len(self._received) < end:
                break
            self._take(bytes(self._received[:end]))
            del self._received[:end]
        return bool(received)

    def _take(self, frame: bytes) -> None:
        kind, flags, stream = struct.unpack(">BBI", frame[3:9])
        payload = frame[9:]
        if kind == _SETTINGS and not flags & _ACK:
            self._take_settings(dict(struct.iter_unpack(">HI", payload)))
            self._to_send += _frame(_SETTINGS, _ACK, 0)
        elif kind == _PING and not flags & _ACK:
            self._to_send += _frame(_PING, _ACK, 0, payload)
        elif kind == _WINDOW_UPDATE and stream:
            self._windows[stream] += int.from_bytes(payload, "big")
        elif kind == _WINDOW_UPDATE:
            self._window += int.from_bytes(payload, "big")

    def _take_settings(self, settings: dict[int, int]) -> None:
        self.max_streams = settings.get(_MAX_STREAMS, self.max_streams)
        value = settings.get(_INITIAL_WINDOW, self._initial_window)
        for stream in self._windows:
            self._windows[stream] += value - self._initial_window
        self._initial_window = value


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _header_block(path: str) -> bytes:
    """Returns the headers of a call, in the plainest of HPACK's forms."""
    headers = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ]
    return b"".join(b"\0" + _text(name) + _text(value) for name, value in headers)


def _text(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()
