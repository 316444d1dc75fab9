"""Only what the operator allows is fetched, and a name never leads to a private address."""

import ipaddress

import pytest

from framewire.worker.allowed_hosts import AllowedHosts
from framewire.worker.config import Config, ConfigError

PRIVATE = [
    "127.0.0.1",
    "127.8.8.8",
    "0.0.0.0",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::",
    "2002:a00:1::",
]
PUBLIC = ["1.1.1.1", "8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]


@pytest.mark.parametrize("address", PRIVATE)
def test_no_name_may_lead_to_a_private_address(address: str) -> None:
    rule = AllowedHosts("*, example.com")
    assert not rule.allows_address(ipaddress.ip_address(address), named=True)
    assert not rule.allows_address(ipaddress.ip_address(address), named=False)


@pytest.mark.parametrize("address", PUBLIC)
def test_an_allowed_name_may_lead_to_a_public_address(address: str) -> None:
    rule = AllowedHosts("example.com")
    assert rule.allows_address(ipaddress.ip_address(address), named=True)
    assert not rule.allows_address(ipaddress.ip_address(address), named=False)


def test_a_network_opens_its_private_addresses_and_no_others() -> None:
    rule = AllowedHosts("media.internal,10.1.0.0/16")
    assert rule.allows_address(ipaddress.ip_address("10.1.9.9"), named=True)
    assert rule.allows_address(ipaddress.ip_address("10.1.9.9"), named=False)
    assert not rule.allows_address(ipaddress.ip_address("10.2.0.1"), named=True)


def test_names_match_whole_or_by_a_pattern() -> None:
    rule = AllowedHosts("Example.com, *.cdn.example.org")
    for name in ("example.com", "a.cdn.example.org", "a.b.cdn.example.org"):
        assert rule.allows_name(name)
    for name in (
        "sub.example.com",
        "example.com.evil.net",
        "notexample.com",
        "cdn.example.org",
        "evilcdn.example.org",
        "example%2ecom",
        "",
    ):
        assert not rule.allows_name(name)
    assert not AllowedHosts("").allows_name("example.com")


def test_a_rule_that_cannot_be_meant_stops_the_worker_at_the_start() -> None:
    for text in ("10.0.0.0/99", "http://example.com", "exa mple.com", "*example.com"):
        with pytest.raises(ConfigError, match="video_hosts"):
            Config(video_hosts=text)
