"""Every request that the provider `stripe` can make, as Stripe's own description has it.

Run by `make stripe-contract`, which needs Go: stripe-mock checks the names and types of all
parameters. It keeps no objects, so that only what we send is tried.
"""

import shutil
import subprocess
from collections.abc import Iterator

import pytest

from meter.payments.provider import Wanted
from meter.payments.providers.stripe import StripeProvider
from support.servers import wait_until
from support.stack import free_port

WANTED = Wanted("pay1", "acme", "cus_1", 2500, "USD", "Credits for acme")


@pytest.fixture(scope="module")
def provider() -> Iterator[StripeProvider]:
    mock = shutil.which("stripe-mock", path=".venv/bin")
    assert mock is not None, "run `make stripe-contract`"
    port = free_port()
    words = [mock, "-http-addr", f"127.0.0.1:{port}"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert process.stdout is not None
        lines = iter(process.stdout)
        wait_until(lambda: "Listening" in next(lines), 30)
        yield StripeProvider("sk_test_123", f"http://127.0.0.1:{port}", "https://example.com/")
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_stripe_knows_every_request_that_we_make(provider: StripeProvider) -> None:
    customer = provider.customer("acme", "customer-acme")
    assert provider.begin_setup(customer, "USD", "set1").ref
    assert provider.methods(customer)
    provider.detach("pm_1")
    intent = provider.begin(WANTED, "pay1")
    for off_session in (True, False):
        provider.confirm(intent, "pm_1", off_session=off_session, key=f"pay1/{off_session}")
    provider.look(intent)
    provider.cancel(intent)
    page = provider.checkout(WANTED, "pay2")
    assert page.ref.startswith("cs_")
    provider.look(page.ref)
    provider.cancel(page.ref)
    assert provider.refund(intent, 100, "rev1")
    assert provider.hints_since("").cursor
    provider.hints_since("evt_1")
    provider._disputed(intent)
