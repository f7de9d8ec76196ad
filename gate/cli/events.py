"""The command that shows events: what happened that somebody may want to be told of."""

from typing import Annotated

import typer
from google.protobuf.struct_pb2 import Struct, Value
from rich.table import Table

from gate.cli.connection import (
    TIMEOUT_S,
    AsJson,
    ledger_service,
    money,
    parse_time,
    print_next,
    when,
)
from gate.cli.ledger import Since, Until
from gate.cli.options import Limit, OnlyAccount, PageToken
from gate.cli.output import print_reply
from meter.v1.ledger_pb2 import ListEventsRequest, ListEventsResponse

Types = Annotated[
    list[str] | None,
    typer.Option("--type", help="Only this type, such as threshold.crossed, or grant.*"),
]


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(events)


def events(
    account_id: OnlyAccount = "",
    types: Types = None,
    since: Since = "",
    until: Until = "",
    newest_first: Annotated[
        bool,
        typer.Option("--newest-first", help="The newest events first."),
    ] = False,
    limit: Limit = 50,
    page_token: PageToken = "",
    as_json: AsJson = False,
) -> None:
    """Show thresholds crossed, requests denied, credits run out, and more; oldest first."""
    request = ListEventsRequest(
        account_id=account_id,
        types=types or [],
        start_time=parse_time("--since", since),
        end_time=parse_time("--until", until),
        newest_first=newest_first,
        page_size=limit,
        page_token=page_token,
    )
    with ledger_service() as ledger:
        page = ledger.ListEvents(request, timeout=TIMEOUT_S)
    print_reply(page, as_json, _events_table)
    # Oldest first, every page has a token, with which programs ask again for later events. People
    # are shown the token only if more events may be there already.
    if not as_json and len(page.events) == limit:
        print_next(page.next_page_token)


def _events_table(page: ListEventsResponse) -> Table:
    table = Table("when (UTC)", "account", "event", "about", box=None)
    for event in page.events:
        table.add_row(
            when(event.occurred_at),
            event.account_id,
            event.type,
            _data_text(event.data),
        )
    return table


def _data_text(data: Struct) -> str:
    """Returns an event's data in words: what is empty is left out."""
    texts = [
        _value_text(name, data.fields[name]) for name in sorted(data.fields) if name != "entry_id"
    ]
    return ", ".join(text for text in texts if text)


def _value_text(name: str, value: Value) -> str:
    words = name.removesuffix("_nanos").removesuffix("_id").replace("_", " ")
    text = _plain_text(value)
    if name.endswith("_nanos"):
        text = money(int(text))
    if not text:
        return ""
    return f"{words} {text}"


def _plain_text(value: Value) -> str:
    match value.WhichOneof("kind"):
        case "string_value":
            return value.string_value
        case "number_value":
            return f"{value.number_value:g}"
        case "bool_value":
            return str(value.bool_value).lower()
        case "list_value":
            return " ".join(map(_plain_text, value.list_value.values))
        case _:
            return ""
