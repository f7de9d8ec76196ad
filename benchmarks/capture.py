"""What a call makes the gate send to Redis, as Redis saw it: so that the ceiling is of the very
commands that the gate sends.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

import redis

_LINE = re.compile(rb"^\d+\.\d+ \[\d+ (?P<client>\S+)\] (?P<words>.*)$", re.DOTALL)
_WORD = re.compile(rb'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPE = re.compile(rb"\\(x[0-9a-f]{2}|.)", re.DOTALL)
_SPELLED = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"a": b"\a", b"b": b"\b"}
_END = b"end of what is watched"

Command = tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Captured:
    """Commands from outside, and what their scripts called inside."""

    sent: tuple[Command, ...]
    inside: tuple[Command, ...]


def capture(client: redis.Redis, about: bytes, act: Callable[[], object]) -> Captured:
    """The commands that reach Redis while `act` runs and in which `about` occurs, with what their
    scripts call.
    """
    sent: list[Command] = []
    inside: list[Command] = []
    connection = client.connection_pool.get_connection()
    try:
        connection.send_command("MONITOR")
        connection.read_response()
        act()
        client.echo(_END)
        ours = False
        while True:
            found = _LINE.match(connection.read_response())
            assert found, "a line of MONITOR"
            command = tuple(_unescaped(word) for word in _WORD.findall(found["words"]))
            if _END in command:
                break
            if found["client"] != b"lua":
                ours = any(about in word for word in command)
                if ours:
                    sent.append(command)
            elif ours:
                inside.append(command)
    finally:
        connection.disconnect()  # MONITOR ends only with its connection
        client.connection_pool.release(connection)
    return Captured(tuple(sent), tuple(inside))


def _unescaped(word: bytes) -> bytes:
    def spelled(found: re.Match[bytes]) -> bytes:
        escape = found[1]
        return bytes([int(escape[1:], 16)]) if len(escape) == 3 else _SPELLED.get(escape, escape)

    return _ESCAPE.sub(spelled, word)
