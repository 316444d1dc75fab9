"""fal's URLs, read as paths of this worker; anything else is refused and nothing is opened."""

import pytest

from framewire.worker.server.fal_proxy.targets import NoTarget, local_path


@pytest.mark.parametrize(
    ("url", "path", "query"),
    [
        ("https://fal.run/a/b/text-to-video", "/a/b/text-to-video", ""),
        ("https://fal.run/a/b", "/a/b", ""),
        ("https://fal.run:443/a/b/stream?x=1", "/a/b/stream", "x=1"),
        ("https://queue.fal.run/a/b/requests/i/status?logs=1", "/queue/a/b/requests/i/status", "logs=1"),
        ("https://rest.fal.ai/tokens/", "/tokens/", ""),
        ("https://rest.alpha.fal.ai/tokens/realtime", "/tokens/realtime", ""),
        (
            "https://rest.fal.ai/storage/upload/initiate?storage_type=fal-cdn-v3",
            "/storage/upload/initiate",
            "storage_type=fal-cdn-v3",
        ),
    ],
)  # fmt: skip
def test_what_its_sdk_calls_is_a_route_of_the_same_meaning(url: str, path: str, query: str) -> None:
    assert local_path(url) == (path, query)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "fal.run/a/b",
        "http://fal.run/a/b",
        "https://fal.run",
        "https://fal.run/metrics",
        "https://fal.run//metrics",
        "https://fal.run:8080/a/b",
        "https://fal.run:99999/a/b",
        "https://me@fal.run/a/b",
        "https://fal.run.example.com/a/b",
        "https://169.254.169.254/latest/meta-data",
        "https://api.fal.ai/tokens/",
        "https://rest.fal.ai/health",
        "https://rest.fal.ai/tokensx",
        "https://fal.run/a/b c",
        "https://fal.run/a/\xe4",
        "https://[/a/b",
    ],
)
def test_anything_else_is_refused_in_words(url: str) -> None:
    with pytest.raises(NoTarget, match="Invalid request"):
        local_path(url)


def test_a_token_in_a_refused_url_is_not_repeated() -> None:
    with pytest.raises(NoTarget) as refused:
        local_path("https://elsewhere/a/b?fal_jwt_token=eyJhbGciOi")
    assert "elsewhere" in str(refused.value) and "eyJ" not in str(refused.value)
