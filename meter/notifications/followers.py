"""Keeps how far each follower of the events has come, under the lock of the follower's row."""

from sqlalchemy import Connection, func, select, update

from meter.database.engine import insert_or_ignore
from meter.database.notifications_schema import event_followers
from meter.database.schema import events

WEBHOOKS = "webhooks"


def lock_follower(connection: Connection, name: str) -> int:
    """Returns the number of the last event followed; others wait until the transaction ends.

    A new follower begins behind all events that are there.
    """
    query = select(event_followers.c.number).where(event_followers.c.name == name).with_for_update()
    number: int | None = connection.scalar(query)
    if number is None:
        newest = connection.scalar(select(func.max(events.c.number))) or 0
        insert_or_ignore(connection, event_followers, [{"name": name, "number": newest}])
        number = connection.scalars(query).one()
    return number


def followed_number(connection: Connection, name: str) -> int | None:
    """Returns the number of the last event followed, without waiting; None before the first."""
    query = select(event_followers.c.number).where(event_followers.c.name == name)
    return connection.scalar(query)


def move_follower(connection: Connection, name: str, number: int) -> None:
    """Records the number of the last event followed. The row must be locked."""
    own = event_followers.c.name == name
    connection.execute(update(event_followers).where(own).values(number=number))
