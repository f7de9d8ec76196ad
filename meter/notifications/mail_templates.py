"""Makes the text of mails from templates, which the operator may replace.

`TYPE.txt` begins with a line for the subject; `TYPE.html` is there for those who want one. A type
without a template of its own takes `event.txt` and `event.html`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import structlog
from jinja2 import (
    BaseLoader,
    ChoiceLoader,
    FileSystemLoader,
    StrictUndefined,
    TemplateNotFound,
    select_autoescape,
)
from jinja2.exceptions import SecurityError, TemplateError
from jinja2.sandbox import SandboxedEnvironment

from meter.money import format_credits

_OURS = Path(__file__).parent / "templates"
_MAX_SUBJECT_CHARACTERS = 200
# What a template of somebody who is not used to templates may do wrong.
_MISTAKES = (TemplateError, SecurityError, TypeError, ValueError, ArithmeticError, LookupError)

log = structlog.get_logger()


class MailText(NamedTuple):
    """Holds the parts of a mail; `html` may be empty."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class MailTemplates:
    """Renders mails; a template of `folder` goes before ours, unless it fails."""

    folder: Path | None = None

    def render(self, type_: str, values: Mapping[str, object]) -> MailText:
        """Returns the text of a mail of the type."""
        ours = _environment(FileSystemLoader(_OURS))
        if self.folder is None:
            return _render(ours, type_, values)
        both = _environment(ChoiceLoader([FileSystemLoader(self.folder), FileSystemLoader(_OURS)]))
        try:
            return _render(both, type_, values)
        except _MISTAKES as error:
            log.error("mail_template_failed", type=type_, error=str(error))
            return _render(ours, type_, values)


def _environment(loader: BaseLoader) -> SandboxedEnvironment:
    environment = SandboxedEnvironment(
        loader=loader,
        undefined=StrictUndefined,
        autoescape=select_autoescape(["html"]),
    )
    environment.filters["credits"] = _credits
    return environment


def _credits(nanos: str) -> str:
    return format_credits(int(nanos))


def _render(
    environment: SandboxedEnvironment,
    type_: str,
    values: Mapping[str, object],
) -> MailText:
    template = environment.select_template([f"{type_}.txt", "event.txt"])
    subject, _, text = template.render(values).partition("\n")
    html = ""
    for name in _html_names(template.name or "", type_):
        try:
            html = environment.get_template(name).render(values)
        except TemplateNotFound:
            continue
    return MailText(_one_line(subject), text.strip() + "\n", html)


def _html_names(text_name: str, type_: str) -> list[str]:
    """Returns the templates of the HTML part; the general one goes with the general text."""
    if text_name == "event.txt":
        return ["event.html", f"{type_}.html"]
    return [f"{type_}.html"]


def _one_line(subject: str) -> str:
    """Returns the subject without what could begin another header."""
    printable = "".join(each for each in subject if each.isprintable())
    return printable.strip()[:_MAX_SUBJECT_CHARACTERS]
