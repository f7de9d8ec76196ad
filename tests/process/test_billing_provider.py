"""The payment provider as the settings choose it: secrets, receiving of events, clear refusals."""

import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from gate.address import Address
from gate.billing_provider import HOOK_PATH, HookApplication, new_provider
from gate.process.child_specs import child_environment, own_children
from gate.process.http_server import http_server
from gate.settings import SettingsError, effective, load_settings
from meter.database.engine import Ledger
from meter.database.payments_schema import provider_hints
from meter.payments.hints import HintReader
from meter.payments.providers.stripe import StripeProvider
from support.payment_desk import PaymentDesk
from support.recorded_accounts import rows
from support.stack import free_port
from support.stripe_fake import SECRET, StripeFake

pytest_plugins = ("support.payment_fixtures",)

KEY = "rk_test_0123456789"


def test_only_billing_gets_the_secrets_of_the_payment_provider(tmp_path: Path) -> None:
    settings = load_settings(
        data_dir=tmp_path, payments="stripe", stripe_key=KEY, stripe_webhook_secrets=SECRET
    )
    children = own_children(settings, child_environment(settings, None), (), 0)
    having = {child.name for child in children if KEY in child.environment.values()}
    assert having == {"billing"}
    having = {child.name for child in children if SECRET in child.environment.values()}
    assert having == {"billing"}
    assert {child.name for child in children} == {"migrate", "flusher", "billing", "gate"}
    assert KEY not in str([setting.value for setting in effective(settings)])


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"payments": "test", "stripe_key": KEY}, "CREDITGATE_STRIPE_KEY: has no effect"),
        (
            {"payments": "manual", "hooks_listen": "127.0.0.1:1"},
            "CREDITGATE_HOOKS_LISTEN: has no effect",
        ),
        ({}, "CREDITGATE_STRIPE_KEY: is needed"),
        (
            {"stripe_key": "sk_live_0123456789", "stripe_api_url": "http://localhost:1"},
            "CREDITGATE_STRIPE_API_URL: a live key goes over https",
        ),
        (
            {"stripe_key": KEY, "hooks_listen": "127.0.0.1:1"},
            "CREDITGATE_STRIPE_WEBHOOK_SECRETS: is needed",
        ),
    ],
)
def test_a_provider_that_is_not_set_up_is_refused_by_its_setting(
    shared_ledger: Ledger, settings: dict[str, str], problem: str
) -> None:
    with pytest.raises(SettingsError, match=problem):
        new_provider(load_settings(**{"payments": "stripe", **settings}), shared_ledger)


@pytest.fixture
def hooks(shared_ledger: Ledger) -> Iterator[str]:
    """The address at which signed events are received."""
    desk = PaymentDesk(shared_ledger)
    provider = StripeProvider(KEY, "", "")
    reader = HintReader(
        shared_ledger,
        provider,
        desk.payer,
        desk.methods,
        desk.reversals,
        desk.clock,
        0,
        desk.metrics,
    )
    port = free_port()
    application = HookApplication(reader, (SECRET,))
    with http_server(Address(host="127.0.0.1", port=port), application, "hooks"):
        yield f"http://127.0.0.1:{port}"


def post(url: str, header: str, body: bytes) -> int:
    request = urllib.request.Request(url, body, {"Stripe-Signature": header}, method="POST")
    try:
        with urllib.request.urlopen(request) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code


def test_signed_events_are_kept_once_and_all_else_is_refused(
    shared_ledger: Ledger, hooks: str
) -> None:
    event = {"id": "evt_1", "object": "event", "data": {"object": {"id": "pi_1"}}}
    header, body = StripeFake().signed(event)
    url = f"{hooks}{HOOK_PATH}"
    assert [post(url, header, body) for _ in range(2)] == [200, 200]
    assert [row.event_id for row in rows(shared_ledger, provider_hints)] == ["evt_1"]
    assert post(url, header, body + b" ") == 400
    assert post(url, "", body) == 400
    assert post(f"{hooks}/other", header, body) == 404
    assert post(url, header, b"x" * (256 * 1024 + 1)) == 413
    assert len(rows(shared_ledger, provider_hints)) == 1
