"""The certificate that a machine signs itself: for which names, kept for how long, read by whom."""

import datetime
import os
import socket
import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509

from framewire.worker.tls.self_signed import kept

NOW = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)


def certificate_in(folder: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate((folder / "certificate.pem").read_bytes())


def names(certificate: x509.Certificate) -> set[str]:
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    addresses = found.get_values_for_type(x509.IPAddress)
    return {*found.get_values_for_type(x509.DNSName), *map(str, addresses)}


def test_it_names_loopback_this_machine_and_what_is_bound(tmp_path: Path) -> None:
    kept(tmp_path, "gpu.example")
    here = socket.gethostname().lower()
    assert names(certificate_in(tmp_path)) == {
        *("localhost", "127.0.0.1", "::1", "gpu.example"),
        here,
    }


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "127.0.0.1"])
def test_addresses_of_all_interfaces_are_no_names(tmp_path: Path, host: str) -> None:
    kept(tmp_path, host)
    assert names(certificate_in(tmp_path)) == {
        *("localhost", "127.0.0.1", "::1"),
        socket.gethostname().lower(),
    }


def test_an_address_with_a_zone_is_bound_and_kept(tmp_path: Path) -> None:
    before = kept(tmp_path, "fe80::1%eth0").key.read_bytes()
    assert "fe80::1" in names(certificate_in(tmp_path))
    assert kept(tmp_path, "fe80::1%eth0").key.read_bytes() == before


def test_the_next_start_has_the_same_one(tmp_path: Path) -> None:
    """Else clients that trust it would have to be told again."""
    before = kept(tmp_path, "127.0.0.1").key.read_bytes()
    assert kept(tmp_path, "0.0.0.0").key.read_bytes() == before


def test_another_host_is_added_to_the_names_that_there_were(tmp_path: Path) -> None:
    kept(tmp_path, "one.example")
    kept(tmp_path, "10.0.0.7")
    both = kept(tmp_path, "one.example").key.read_bytes()
    assert {"one.example", "10.0.0.7"} <= names(certificate_in(tmp_path))
    assert kept(tmp_path, "10.0.0.7").key.read_bytes() == both


def test_one_that_ends_soon_or_is_not_valid_yet_is_renewed(tmp_path: Path) -> None:
    kept(tmp_path, "", NOW)
    first = certificate_in(tmp_path)
    end = first.not_valid_after_utc
    kept(tmp_path, "", end - datetime.timedelta(days=31))
    assert certificate_in(tmp_path) == first
    kept(tmp_path, "", end - datetime.timedelta(days=29))
    second = certificate_in(tmp_path)
    assert second.not_valid_after_utc > end + datetime.timedelta(days=300)
    kept(tmp_path, "", NOW - datetime.timedelta(days=1))
    assert certificate_in(tmp_path) != second


def test_the_key_is_for_its_owner_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        files = kept(tmp_path / "a" / "b", "")
    finally:
        os.umask(before)
    assert stat.S_IMODE(files.key.stat().st_mode) == 0o600
    assert stat.S_IMODE(files.key.parent.stat().st_mode) == 0o700
    assert b"PRIVATE" not in files.certificate.read_bytes()


@pytest.mark.parametrize("damage", ["", "no PEM", "half"])
def test_a_damaged_file_is_made_anew(tmp_path: Path, damage: str) -> None:
    files = kept(tmp_path, "")
    whole = files.key.read_text()
    files.key.write_text(damage if damage != "half" else whole[: len(whole) // 2])
    files.certificate.unlink()
    kept(tmp_path, "")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["certificate.pem", "key.pem"]


def test_it_holds_before_strict_verification(tmp_path: Path) -> None:
    """As Python 3.13 and newer verify by default: RFC 5280 to the letter."""
    files = kept(tmp_path, "")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(files.certificate, files.key)
    for name in ("localhost", "127.0.0.1", "::1"):
        client = ssl.create_default_context(cafile=files.certificate)
        client.verify_flags |= ssl.VERIFY_X509_STRICT
        to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        ends = [
            client.wrap_bio(to_client, to_server, server_hostname=name),
            server.wrap_bio(to_server, to_client, server_side=True),
        ]
        for end in (*ends, *ends):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
        assert ends[0].getpeercert()
