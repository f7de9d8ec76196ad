"""An outage is logged as few lines: its beginning, ever fewer reminders, its end."""

from structlog.testing import capture_logs

from meter.outage_log import OutageLog, described


def test_many_failures_are_one_line_and_the_recovery_another() -> None:
    outage = OutageLog("store_away", "store_back")
    with capture_logs() as logs:
        for _ in range(2):
            outage.ended()  # there is none
            for attempt in range(100):
                outage.failed(TimeoutError(), attempt=attempt)
            outage.ended()
    assert [entry["event"] for entry in logs] == ["store_away", "store_back"] * 2
    assert logs[0]["error"] == "TimeoutError"
    assert logs[0]["attempt"] == 0


def test_an_error_without_words_is_told_by_its_name() -> None:
    assert described(ConnectionResetError()) == "ConnectionResetError"
    assert described(OSError("it is gone")) == "it is gone"
