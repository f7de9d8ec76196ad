"""`creditgate webhook`: endpoints and their deliveries, with a real billing and a real receiver."""

import json
from collections.abc import Callable

import pytest
from standardwebhooks import Webhook

from meter.v1.accounts_pb2 import Threshold
from support.customer import CREDIT, Customer
from support.receivers import receiver, status
from support.servers import wait_until
from support.terminal import ONE_TRANSPORT, Creditgate

pytest_plugins = ("support.command_line",)
pytestmark = ONE_TRANSPORT

Open = Callable[..., Customer]


def test_a_crossed_threshold_is_posted_to_the_accounts_endpoint(
    creditgate: Creditgate, open_account: Open
) -> None:
    half = Threshold(threshold_id="half", subject=Threshold.LOW_BALANCE, amount_nanos=5 * CREDIT)
    customer = open_account("10", thresholds=[half])
    name = customer.account_id
    with receiver(tls=False) as found:
        line = f"webhook add {found.url('127.0.0.1')} --account {name} --type threshold.*"
        made = creditgate(f"{line} --request-id r-{name} --json").json
        assert creditgate(f"{line} --request-id r-{name} --json").json == made
        customer.debit(5 * CREDIT)
        wait_until(lambda: found.requests)
        [request] = found.requests
        data = Webhook(made["secret"]).verify(request.body, request.headers)["data"]
        assert (data["threshold_id"], data["value_nanos"]) == ("half", str(5 * CREDIT))
        [shown] = creditgate(f"webhook list {name}").rows
        assert "secret" not in shown
        endpoint = made["endpoint_id"]
        assert creditgate(f"webhook test {endpoint}").out == "delivered: status 204\n"
        wait_until(lambda: creditgate(f"webhook deliveries {endpoint} --state delivered").rows)
        [event] = [row[0] for row in creditgate(f"webhook deliveries {endpoint}").rows]
        assert creditgate(f"webhook resend {endpoint} --event {event}").out == "1 sent again\n"
        wait_until(lambda: len(found.requests) == 3)
        assert (
            json.loads(found.requests[2].body)["sequence"] == json.loads(request.body)["sequence"]
        )
        assert creditgate(f"webhook rotate {endpoint} --json").json["secret"] != made["secret"]
        found.reply = status(500, "broken")
        failed = creditgate(f"webhook test {endpoint}")
        assert (failed.status, failed.err) == (
            1,
            "creditgate: not delivered: status 500, broken\n",
        )
    assert "disabled: by request" in creditgate(f"webhook disable {endpoint}").out
    assert creditgate(f"webhook resend {endpoint} --since 2026-01-01").status == 1
    assert "enabled" in creditgate(f"webhook enable {endpoint}").out
    creditgate(f"webhook remove {endpoint}")
    assert not creditgate(f"webhook list {name}").rows


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("webhook add http://8.8.8.8/ --account nobody", "URL: only https"),
        ("webhook add https://10.0.0.1/", "(URL_NOT_ALLOWED)"),
        ("webhook add http://127.0.0.1:8080/ --account nobody", "(ACCOUNT_NOT_FOUND)"),
        ("webhook add http://127.0.0.1:8080/ --type grants", "--type: 'grants' is no type"),
        ("webhook test ep_none", "(ENDPOINT_NOT_FOUND)"),
        ("webhook enable ep_none", "(ENDPOINT_NOT_FOUND)"),
        ("webhook deliveries ep_none", "(ENDPOINT_NOT_FOUND)"),
        ("webhook resend ep_none", "give --event or --since"),
    ],
)
def test_what_cannot_be_done_is_told_with_its_reason(
    creditgate: Creditgate, line: str, told: str
) -> None:
    done = creditgate(line)
    assert done.status != 0
    assert told in done.err
