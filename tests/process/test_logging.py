"""Logging: one shape for our own events and for libraries, on stderr, with the process's name."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from gate.process.logging import configure_logging
from gate.settings import load_settings


@pytest.fixture(autouse=True)
def unconfigured_afterwards() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:], root.level = before


def test_an_event_is_a_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(load_settings(log_format="json"), "gate")
    structlog.get_logger().warning("child_died", child="flusher")
    output = capsys.readouterr()
    event = json.loads(output.err)
    assert event.pop("timestamp").endswith("Z")
    assert event == {
        "event": "child_died",
        "child": "flusher",
        "level": "warning",
        "process": "gate",
    }
    assert output.out == ""


def test_a_library_is_logged_alike_but_only_from_warnings_up(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging(load_settings(log_format="json", log_level="debug"), "gate")
    logging.getLogger("some.library").info("chatter")
    logging.getLogger("some.library").warning("trouble with %s", "x")
    event = json.loads(capsys.readouterr().err)
    assert (event["event"], event["level"], event["process"]) == (
        "trouble with x",
        "warning",
        "gate",
    )


def test_an_exception_comes_with_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    for log_format in ("json", "console"):
        configure_logging(load_settings(log_format=log_format), "gate")
        try:
            raise ValueError("broken")
        except ValueError:
            structlog.get_logger().exception("call_failed")
            logging.getLogger("some.library").exception("call failed")
        lines = capsys.readouterr().err
        assert lines.count("ValueError") >= 2
        assert lines.count("broken") >= 2


def test_less_severe_events_than_the_setting_are_not_logged(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging(load_settings(log_level="error"), "gate")
    structlog.get_logger().warning("unimportant")
    assert capsys.readouterr().err == ""
