"""Which URLs may be asked for with the key of this server: fal's own, read in one way only."""

import pytest

from framewire.worker.server.fal_proxy.targets import NoTarget
from framewire.worker.server.hosted.targets import Target, read_target

APP = "fal-ai/krea-wan-14b"


@pytest.mark.parametrize(
    ("url", "target"),
    [
        (f"https://fal.run/{APP}", Target("fal.run", f"/{APP}")),
        (f"https://queue.fal.run/{APP}", Target("queue.fal.run", f"/{APP}")),
        (
            f"https://queue.fal.run/{APP}/requests/a-1/status?logs=1",
            Target("queue.fal.run", f"/{APP}/requests/a-1/status?logs=1"),
        ),
        ("https://fal.run/me/a%20b/", Target("fal.run", "/me/a%20b/")),
        (
            "https://rest.fal.ai/storage/upload/initiate?storage_type=fal-cdn-v3",
            Target("rest.fal.ai", "/storage/upload/initiate?storage_type=fal-cdn-v3"),
        ),
        ("https://v3.fal.media/files/a/b.png", Target("v3.fal.media", "/files/a/b.png")),
    ],
)
def test_what_fals_clients_ask_for_is_read(url: str, target: Target) -> None:
    assert read_target(url) == target


@pytest.mark.parametrize("host", ["rest.fal.ai", "rest.alpha.fal.ai"])
def test_a_token_is_known_as_one_however_it_is_asked_for(host: str) -> None:
    """It is minted here, for one app and a short life."""
    for path in ("/tokens/", "/tokens", "/tokens/?a=1", "/tokens/realtime"):
        assert read_target(f"https://{host}{path}").is_mint
    assert not read_target(f"https://{host}/storage/upload/tokens/").is_mint


def test_signed_urls_of_the_storage_get_no_key() -> None:
    assert not read_target("https://v3.fal.media/files/a.png").gets_key
    assert read_target("https://fal.run/a/b").gets_key
    assert read_target("https://rest.fal.ai/storage/upload/initiate").gets_key


@pytest.mark.parametrize(
    "url",
    [
        "",
        "fal.run/a/b",
        "//fal.run/a/b",
        "http://fal.run/a/b",
        "HTTPS://fal.run/a/b",
        "ftp://fal.run/a/b",
        "wss://fal.run/a/b",
        "file:///etc/passwd",
        "https:/fal.run/a/b",
        "https:fal.run/a/b",
        "https:///fal.run/a/b",
        " https://fal.run/a/b",
        "https://fal.run/a/b ",
        "https://fal.run/a/b\n",
        "https://fal.run/a/b\r\nHost: evil.example",
        "https://fal.run/a\tb/c",
        "https://fal.run/a/b\x00",
        "https://fal.run/a/b#fragment",
        "https://user@fal.run/a/b",
        "https://user:pass@fal.run/a/b",
        "https://fal.run@evil.example/a/b",
        "https://fal.run:pass@evil.example/a/b",
        "https://fal.run%40evil.example/a/b",
        "https://fal.run%2eevil.example/a/b",
        "https://fal.run\\@evil.example/a/b",
        "https://fal.run\\.evil.example/a/b",
        "https://evil.example\\fal.run/a/b",
        "https://fal.run:443/a/b",
        "https://fal.run:80/a/b",
        "https://fal.run:8443/a/b",
        "https://fal.run:/a/b",
        "https://fal.run./a/b",
        "https://fal.run../a/b",
        "https://.fal.run/a/b",
        "https://FAL.RUN/a/b",
        "https://evil.fal.run/a/b",
        "https://fal.run.evil.example/a/b",
        "https://notfal.run/a/b",
        "https://evil.example/https://fal.run/a/b",
        "https://evil.example?https://fal.run/a/b",
        "https://evil.example/?x=fal.run",
        "https://fal\u3002run/a/b",
        "https://fal.\uff52un/a/b",
        "https://\uff46al.run/a/b",
        "https://f\u0430l.run/a/b",
        "https://fal\u200b.run/a/b",
        "https://xn--fl-8ia.run/a/b",
        "https://127.0.0.1/a/b",
        "https://2130706433/a/b",
        "https://0x7f000001/a/b",
        "https://0177.0.0.1/a/b",
        "https://[::1]/a/b",
        "https://[::ffff:127.0.0.1]/a/b",
        "https://169.254.169.254/latest/meta-data",
        "https://localhost/a/b",
        "https://fal.run",
        "https://fal.run/",
        "https://fal.run/a",
        "https://fal.run//a/b",
        "https://fal.run/a//b",
        "https://fal.run/a/../b/c",
        "https://fal.run/a/%2e%2e/b/c",
        "https://fal.run/a/.%2E/b",
        "https://fal.run/a/./b",
        "https://fal.run/a/..",
        "https://fal.run/a/b%2f..%2fc",
        "https://fal.run/a/b%5c..%5cc",
        "https://fal.run/a/b\\..\\c",
        "https://fal.run/a/%zz",
        "https://fal.run/a/b?x=y z",
        "https://fal.run/a/ä",
        "https://rest.fal.ai/",
        "https://rest.fal.ai/keys",
        "https://rest.fal.ai/billing/user_details",
        "https://rest.fal.ai/tokens/other",
        "https://rest.fal.ai/storage/../keys",
        "https://rest.fal.ai/storage/upload/../../keys",
        "https://rest.fal.ai/storage/upload/%2e%2e/%2e%2e/keys",
        "https://rest.fal.ai/storage/upload/..%2f..%2fkeys",
        "https://rest.fal.ai/storage/auth/token",
        "https://rest.fal.ai/storageupload/",
        "https://rest.fal.ai//storage/upload/initiate",
        "https://rest.fal.ai/;/../keys",
        "https://fal.run/a/" + "b" * 9000,
    ],
)
def test_whatever_could_lead_elsewhere_is_refused(url: str) -> None:
    """Other schemes, hosts and ports; users; characters read in two ways; paths that climb."""
    with pytest.raises(NoTarget, match="Invalid request"):
        read_target(url)


def test_a_refusal_does_not_repeat_a_query_nor_control_the_terminal() -> None:
    with pytest.raises(NoTarget) as refused:
        read_target("https://evil.example/\x1b[31m?fal_jwt_token=secret")
    assert "secret" not in str(refused.value) and "\x1b" not in str(refused.value)
