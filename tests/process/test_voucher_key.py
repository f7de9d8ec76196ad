"""`creditgate up` makes a key of vouchers: once, for its own user only, and codes outlive
a restart.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gate.process.data_dir import kept_secret
from meter.admin.voucher_codes import MIN_KEY_CHARACTERS
from meter.v1 import accounts_pb2 as pb
from support.stack import Client, Process, free_port


def test_a_secret_is_made_once_and_readable_by_its_user_only(tmp_path: Path) -> None:
    path = tmp_path / "voucher.key"
    path.with_suffix(".new").write_text(
        "what a crash has left behind, longer than a secret is, and readable by everybody"
    )
    secret = kept_secret(path)
    assert len(secret) >= MIN_KEY_CHARACTERS
    assert kept_secret(path) == secret == path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    assert kept_secret(tmp_path / "another.key") != secret
    assert not path.with_suffix(".new").exists()


def test_codes_made_under_up_are_redeemed_after_it_was_started_again(tmp_path: Path) -> None:
    with up(tmp_path) as client:
        client.open_account("acme")
        batch = pb.VoucherBatch(batch_id="spring", amount_nanos=5, currency="USD", codes=1)
        [code] = client.accounts.CreateVouchers(pb.CreateVouchersRequest(batch=batch)).codes
    with up(tmp_path) as client:
        client.accounts.RedeemVoucher(
            pb.RedeemVoucherRequest(account_id="acme", request_id="r", code=code)
        )
        assert client.balance("acme").total_credits_nanos == 5
    key = (tmp_path / "data" / "voucher.key").read_text()
    assert key not in (tmp_path / "up.log").read_text() + (tmp_path / "up.out").read_text()


@contextmanager
def up(folder: Path) -> Iterator[Client]:
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith("CREDITGATE_")
    }
    target = f"127.0.0.1:{free_port()}"
    own = {
        "CREDITGATE_DATA_DIR": str(folder / "data"),
        "CREDITGATE_LISTEN": target,
        "CREDITGATE_BILLING_LISTEN": f"127.0.0.1:{free_port()}",
        "CREDITGATE_METRICS_LISTEN": "",
        "CREDITGATE_LOG_LEVEL": "debug",
    }
    process = Process(["up"], clean | own, folder / "up.log")
    process.start()
    client = Client(target)
    try:
        yield client
    finally:
        client.close()
        assert process.stop() == 0
