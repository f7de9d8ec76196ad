"""Where a process without tokens may listen."""

import pytest

from gate.access.exposure import is_local, require_closed_door
from gate.address import parse_address
from gate.settings import SettingsError, load_settings


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("127.0.0.1:50051", True),
        ("127.0.0.2:50051", True),
        ("localhost:50051", True),
        ("[::1]:50051", True),
        ("unix:/run/creditgate.sock", True),
        ("0.0.0.0:50051", False),
        ("[::]:50051", False),
        ("192.0.2.7:50051", False),
        ("[2001:db8::7]:50051", False),
        ("[fe80::1%lo]:50051", False),
        ("gate.invalid:50051", False),
    ],
)
def test_only_loopback_and_unix_sockets_are_local(address: str, local: bool) -> None:
    assert is_local(parse_address(address)) is local


@pytest.mark.parametrize("field", ["listen", "billing_listen", "http_listen"])
def test_beyond_this_machine_a_process_wants_tokens_or_to_be_told_otherwise(field: str) -> None:
    address = {field: "0.0.0.0:50099"}
    with pytest.raises(SettingsError) as caught:
        require_closed_door(load_settings(**address), field)
    assert f"CREDITGATE_{field.upper()}='0.0.0.0:50099'" in str(caught.value)
    assert "CREDITGATE_TOKENS_FILE" in str(caught.value)
    require_closed_door(load_settings(**address, tokens_file="/etc/tokens.yaml"), field)
    require_closed_door(load_settings(**address, allow_unauthenticated=True), field)
