"""Which hosts certainly are this machine: what is trusted to no network must not be fooled."""

import pytest

from framewire.protocol import is_loopback


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST", "localhost.", "127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"],
)
def test_this_machine_is_known_by_every_spelling(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        "gpu",
        "10.0.0.1",
        "0.0.0.0",
        "::",
        "localhost.example",
        "127.0.0.1.nip.io",
        "fe80::1",
    ],
)
def test_what_may_be_elsewhere_is_not_this_machine(host: str | None) -> None:
    assert not is_loopback(host)
