"""The file of authorities that replaces what a program trusts: nothing that it trusted is lost."""

from pathlib import Path

import certifi

from framewire.worker.tls.self_signed import kept
from framewire.worker.tls.trusted import bundle

BEGIN = "-----BEGIN CERTIFICATE-----"


def pem(folder: Path) -> str:
    folder.mkdir()
    return kept(folder, "").certificate.read_text().strip()


def test_it_has_certifis_roots_and_the_certificate(tmp_path: Path) -> None:
    own = pem(tmp_path / "own")
    path = bundle(tmp_path / "new" / "tls", tmp_path / "own" / "certificate.pem", {})
    text = path.read_text()
    assert own in text
    assert text.count(BEGIN) == Path(certifi.where()).read_text().count(BEGIN) + 1


def test_what_the_environment_trusts_already_stays_also_at_the_second_time(tmp_path: Path) -> None:
    """A company's authority in SSL_CERT_FILE, also when that is our own file by then."""
    own, ssl, node = (pem(tmp_path / name) for name in ("own", "ssl", "node"))
    certificate = tmp_path / "own" / "certificate.pem"
    environ = {
        "SSL_CERT_FILE": str(tmp_path / "ssl" / "certificate.pem"),
        "NODE_EXTRA_CA_CERTS": str(tmp_path / "node" / "certificate.pem"),
    }
    first = bundle(tmp_path, certificate, environ)
    text = first.read_text()
    assert all(one in text for one in (own, ssl, node))
    second = bundle(tmp_path, certificate, {name: str(first) for name in environ})
    assert second == first and second.read_text() == text


def test_a_variable_that_names_nothing_is_passed_over(tmp_path: Path) -> None:
    own = pem(tmp_path / "own")
    environ = {"SSL_CERT_FILE": str(tmp_path / "gone.pem"), "NODE_EXTRA_CA_CERTS": ""}
    assert own in bundle(tmp_path, tmp_path / "own" / "certificate.pem", environ).read_text()
