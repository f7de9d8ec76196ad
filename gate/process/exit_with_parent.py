"""Ends a child when its supervisor ends, however the supervisor ended."""

import os
import signal
import threading

_STDIN = 0


def exit_with_parent() -> None:
    """Treats the end of stdin, the parent's pipe, as a SIGTERM from now on.

    The end of stdin comes even if the parent is killed.
    """
    threading.Thread(
        target=_terminate_at_end_of_stdin,
        name="exit-with-parent",
        daemon=True,
    ).start()


def _terminate_at_end_of_stdin() -> None:
    # os.read, not sys.stdin: a thread inside a buffered reader's lock breaks the interpreter's
    # shutdown.
    while os.read(_STDIN, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
