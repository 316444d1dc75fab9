"""fal's client is pointed at a worker by its constants, and left as it was where asked."""

import sys
import types

import pytest
from fal_client import client as fal

from framewire.client.fal_sdk import point_at, pointed_at

NAMES = ("RUN_URL_FORMAT", "QUEUE_URL_FORMAT", "REALTIME_URL_FORMAT", "REST_URL", "CDN_URL")


def constants() -> list[str]:
    return [getattr(fal, name) for name in NAMES]


def test_all_that_it_calls_is_the_workers_for_as_long_as_the_block_lasts() -> None:
    before = constants()
    with pointed_at("http://127.0.0.1:8000/"):
        assert constants() == [
            "http://127.0.0.1:8000/",
            "http://127.0.0.1:8000/queue/",
            "ws://127.0.0.1:8000/",
            "http://127.0.0.1:8000",
            "http://127.0.0.1:8000",
        ]
    assert constants() == before
    with pytest.raises(KeyError), pointed_at("https://h:1"):
        assert fal.REALTIME_URL_FORMAT == "wss://h:1/"
        raise KeyError
    assert constants() == before


def test_without_a_url_it_is_the_worker_that_the_environment_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fal, "FAL_RUN_HOST", "gpu:8443")
    with pointed_at():
        assert fal.REST_URL == "https://gpu:8443"


@pytest.mark.parametrize("url", ["gpu:8000", "ws://gpu:8000/ws", "http://", "http://h/queue"])
def test_what_is_no_url_of_a_worker_is_refused_with_an_example(url: str) -> None:
    before = constants()
    with pytest.raises(ValueError, match=r"such as http://127\.0\.0\.1:8000"):
        point_at(url)
    assert constants() == before


def test_where_the_environment_names_fal_itself_no_worker_is_made_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fal, "FAL_RUN_HOST", "fal.run")
    with pytest.raises(ValueError, match="framewire-worker env"):
        point_at()


def test_a_client_that_keeps_its_urls_elsewhere_is_told_of_and_not_half_pointed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else uploads would go on to fal, in silence."""
    other = types.ModuleType("fal_client.client")
    other.RUN_URL_FORMAT = "https://fal.run/"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "fal_client.client", other)
    with pytest.raises(RuntimeError, match=r"has no QUEUE_URL_FORMAT, .*CDN_URL"):
        point_at("http://h:1")
    assert other.RUN_URL_FORMAT == "https://fal.run/"
