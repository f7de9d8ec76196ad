"""A proxy between a client and a server, which can go silent as a network does."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Thread

Address = str | tuple[str, int]  # the path of a unix socket, or host and port


class TcpProxy:
    """Leads each connection to its target; what is frozen stays open, and says nothing more."""

    def __init__(self, target: Address) -> None:
        self.target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._frozen: set[socket.socket] = set()
        self.delay_s = 0.0  # before anything is passed on
        self._unanswered = b""
        Thread(target=self._accept, daemon=True).start()

    def freeze(self) -> None:
        """Lets the connections that are open now pass nothing on; later ones pass."""
        for pair in self._pairs:
            self._frozen.update(pair)

    def cut(self) -> None:
        """Ends the connections that are open now; later ones pass."""
        for pair in self._pairs:
            for end in pair:
                _end(end)

    def lose_answer_to(self, words: bytes) -> None:
        """Cuts the next connection that asks with these words, before its answer comes."""
        self._unanswered = words

    def close(self) -> None:
        self._listener.close()
        for pair in self._pairs:
            for end in pair:
                end.close()

    def _accept(self) -> None:
        with suppress(OSError):  # the listener was closed
            while True:
                client, _ = self._listener.accept()
                self._connect(client)

    def _connect(self, client: socket.socket) -> None:
        family = socket.AF_UNIX if isinstance(self.target, str) else socket.AF_INET
        server = socket.socket(family)
        try:
            server.connect(self.target)
        except OSError:
            client.close()
            server.close()
            return
        self._pairs.append((client, server))
        Thread(target=self._pass_on, args=(client, server, True), daemon=True).start()
        Thread(target=self._pass_on, args=(server, client, False), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, asks: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if source in self._frozen:
                    return
                if self.delay_s:
                    time.sleep(self.delay_s)
                sink.sendall(data)
                if asks and self._unanswered and self._unanswered in data:
                    self._unanswered = b""
                    _end(source)
        if source not in self._frozen:
            with suppress(OSError):
                sink.shutdown(socket.SHUT_WR)


def _end(connection: socket.socket) -> None:
    with suppress(OSError):  # it has ended
        connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def tcp_proxy(target: Address) -> Iterator[TcpProxy]:
    """Runs a proxy until the end of the block."""
    proxy = TcpProxy(target)
    try:
        yield proxy
    finally:
        proxy.close()
