"""Where webhooks may be sent: public addresses only, in whatever form they are written."""

import socket
from ipaddress import ip_address

import pytest

from meter.errors import InvalidField
from meter.networks import networks_of
from meter.notifications.endpoint_urls import check_url
from meter.notifications.public_addresses import AddressRefused, AddressRules, is_public

NOT_PUBLIC = [
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.8.9.10",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "203.0.113.7",
    "224.0.0.1",
    "239.1.1.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::7f00:1",
    "100::1",
    "2001::1",
    "2001:1ff::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd12::1",
    "fe80::1",
    "fe80::1%1",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
]
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "93.184.216.34",
    "::ffff:8.8.8.8",
    "2606:4700:4700::1111",
    "2001:4860:4860::8888",
]
# Forms that the resolver takes for 127.0.0.1.
LOOPBACK = ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "localhost"]


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    assert not AddressRules().allows(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_allowed(address: str) -> None:
    assert AddressRules().allows(address)


def test_an_address_that_is_listed_is_allowed_in_both_its_forms() -> None:
    rules = AddressRules(networks_of("127.0.0.1/32, 10.2.0.0/16"))
    assert rules.allows("10.2.3.4")
    assert rules.allows("::ffff:127.0.0.1")
    assert not rules.allows("10.3.0.1")
    assert not rules.allows("127.0.0.2")
    assert not is_public(ip_address("10.2.3.4"))


@pytest.mark.parametrize("host", LOOPBACK)
def test_every_form_of_this_machines_address_is_refused(host: str) -> None:
    with pytest.raises(AddressRefused):
        AddressRules().addresses_of(host, 443)


def test_a_name_with_one_address_that_is_not_public_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = [(socket.AF_INET, 1, 6, "", (address, 443)) for address in ("8.8.8.8", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(AddressRefused, match="has an address that is not public"):
        AddressRules().addresses_of("two.example", 443)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://8.8.8.8/",
        "http://8.8.8.8/",
        "https://",
        "https:///path",
        "https://user:word@8.8.8.8/",
        "https://8.8.8.8/#part",
        "https://8.8.8.8/a b",
        "https://8.8.8.8/\r\nHost: x",
        "https://8.8.8.8:25/",
        "https://8.8.8.8:80/",
        "https://8.8.8.8:99999/",
        "https://münchen.example/",
        "https://127.0.0.1/",
        "https://[::1]:8443/",
        "https://[::ffff:169.254.169.254]/",
        f"https://8.8.8.8/{'x' * 2048}",
    ],
)
def test_a_url_that_cannot_be_sent_to_is_refused_with_the_reason(url: str) -> None:
    with pytest.raises(InvalidField) as refused:
        check_url("endpoint.url", url, AddressRules())
    assert refused.value.reason == "URL_NOT_ALLOWED"
    assert refused.value.field == "endpoint.url"


@pytest.mark.parametrize(
    "url", ["https://8.8.8.8/hook?a=b", "https://8.8.8.8:8443", "https://[2606:4700::1]:443/"]
)
def test_a_url_of_a_public_address_is_allowed(url: str) -> None:
    check_url("endpoint.url", url, AddressRules())


def test_plain_http_is_for_listed_addresses_alone() -> None:
    listed = AddressRules(networks_of("127.0.0.0/8"))
    check_url("endpoint.url", "http://127.0.0.1:8080/", listed)
    with pytest.raises(InvalidField, match="CREDITGATE_WEBHOOK_ALLOW"):
        check_url("endpoint.url", "http://8.8.8.8:8080/", listed)
