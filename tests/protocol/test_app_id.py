"""How fal's apps are named, and where their streams are."""

import pytest

from framewire.protocol import AppId


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("fal-ai/krea-wan-14b", "/fal-ai/krea-wan-14b/ws"),
        ("fal-ai/krea-wan-14b/", "/fal-ai/krea-wan-14b/ws"),
        ("fal-ai/krea-wan-14b/realtime", "/fal-ai/krea-wan-14b/realtime"),
    ],
)
def test_an_app_has_an_owner_an_alias_and_perhaps_a_path(text: str, path: str) -> None:
    app = AppId.parse(text)
    assert (app.owner, app.alias) == ("fal-ai", "krea-wan-14b")
    assert str(app) == "fal-ai/krea-wan-14b"
    assert app.socket_path() == path


@pytest.mark.parametrize(
    "text",
    [
        "",
        "krea-wan-14b",
        "/a/b",
        "a//b",
        "a/b?x=1",
        "a/b#x",
        "a/b c",
        "a/../b",
        "../b",
        "a/bä",
        "a@b/c",
    ],
)
def test_what_is_no_app_id_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="no app id"):
        AppId.parse(text)
