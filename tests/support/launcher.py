"""Starts processes of Creditgate without paying for their imports each time.

A process of its own, with one thread: it has imported the product, forks for each request, and the
child goes on as `creditgate WORDS` would after its imports. `support.processes` asks it.

A request is one connection: a line of JSON with the three standard streams as its descriptors. The
answers are lines: the pid, and the status once the process has ended.
"""

import json
import os
import selectors
import signal
import socket
import sys
from contextlib import suppress
from typing import NamedTuple, NoReturn

import gate.app
import gate.cli.app
import meter.database.migrate  # noqa: F401 - imported here, so that no child has to

REQUEST_BYTES = 1 << 20
_STREAMS = 3


class Request(NamedTuple):
    """Says what is to be run, where, and with which standard streams."""

    words: list[str]
    environment: dict[str, str]
    directory: str
    streams: list[int]

    @classmethod
    def receive(cls, connection: socket.socket) -> "Request":
        line, streams, _, _ = socket.recv_fds(connection, REQUEST_BYTES, _STREAMS)
        while not line.endswith(b"\n"):
            line += connection.recv(REQUEST_BYTES)
        return cls(**json.loads(line), streams=streams)


def serve(listener: socket.socket) -> Request:
    """Forks for each request until this process's parent has gone.

    Returns in each child, with what the child is to run.
    """
    asking: dict[int, socket.socket] = {}
    wake, wake_write = socket.socketpair()
    wake_write.setblocking(False)
    signal.set_wakeup_fd(wake_write.fileno())
    signal.signal(signal.SIGCHLD, _wake)
    with selectors.DefaultSelector() as ready:
        for source in (listener, wake, sys.stdin):
            ready.register(source, selectors.EVENT_READ)
        while True:
            for key, _ in ready.select():
                if key.fileobj is sys.stdin:
                    _end(asking)
                if key.fileobj is wake:
                    wake.recv(4096)
                    _tell_the_ended(asking)
                    continue
                connection, _ = listener.accept()
                request = Request.receive(connection)
                pid = os.fork()
                if not pid:
                    for inherited in (listener, connection, wake, wake_write, *asking.values()):
                        inherited.close()
                    return request
                for stream in request.streams:
                    os.close(stream)
                connection.sendall(b"%d\n" % pid)
                asking[pid] = connection


def _end(asking: dict[int, socket.socket]) -> NoReturn:
    """Leaves nothing behind: whoever asked is gone, perhaps killed."""
    for pid in asking:
        os.kill(pid, signal.SIGKILL)
    os._exit(0)


def _wake(*_: object) -> None:
    """Does nothing: a signal without a handler would not be told over the wake-up descriptor."""


def _tell_the_ended(asking: dict[int, socket.socket]) -> None:
    while asking:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        with asking.pop(pid) as connection, suppress(BrokenPipeError):  # if nobody waits for it
            connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))


def become(request: Request) -> NoReturn:
    """Goes on as the command would."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number, stream in enumerate(request.streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(request.directory)
    os.environ.clear()
    os.environ.update(request.environment)
    sys.argv = ["creditgate", *request.words]
    gate.cli.app.main()
    sys.exit()


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as _listener:
        _request = serve(_listener)
    become(_request)
