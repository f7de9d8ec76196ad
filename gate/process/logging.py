"""Sets up logging to stderr, once for each process."""

import logging
import sys

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from gate.settings import Settings, unknown_variables

# Libraries speak only when something is wrong; our own events follow the setting.
_LIBRARY_LEVEL = logging.WARNING


def configure_logging(settings: Settings, process: str) -> None:
    """Sends all events, and libraries' warnings, to stderr.

    Each event names `process`, since processes share a stderr.
    """
    shared = _shared(process, settings.log_format)
    render = _renderer(settings.log_format)
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(settings.log_level),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    for unknown in unknown_variables():
        structlog.get_logger().warning("unknown_setting", setting=unknown)
    libraries = logging.StreamHandler(sys.stderr)
    libraries.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    logging.basicConfig(
        level=_LIBRARY_LEVEL,
        handlers=[libraries],
        force=True,
    )


def _shared(process: str, log_format: str) -> list[Processor]:
    def name_process(
        _logger: WrappedLogger,
        _method: str,
        event: EventDict,
    ) -> EventDict:
        event["process"] = process
        return event

    processors: list[Processor] = [
        name_process,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if log_format == "json":
        processors.append(structlog.processors.dict_tracebacks)
    return processors


def _renderer(log_format: str) -> Processor:
    if log_format == "json":
        return structlog.processors.JSONRenderer()
    return structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(),
        exception_formatter=structlog.dev.plain_traceback,
        pad_event_to=0,
    )
