"""A child's side of the supervisor: to end when the supervisor does, however it ended."""

import os
import signal
import threading

_STDIN = 0


def exit_with_parent() -> None:
    """From now on the end of stdin, the parent's pipe, acts as a SIGTERM: it comes even if the parent
    is killed.
    """
    threading.Thread(
        target=_terminate_at_end_of_stdin, name="exit-with-parent", daemon=True
    ).start()


def _terminate_at_end_of_stdin() -> None:
    # os.read, not sys.stdin: a thread inside a buffered reader's lock breaks the interpreter's
    # shutdown.
    while os.read(_STDIN, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
