"""What a session sends of large pictures, whoever gave them."""

import sys

import pytest
from support.servers.stand_in import Peer, picture, stand_in

from framewire.client import connect
from framewire.protocol import Completed, Params, Ready, Steer
from framewire.protocol.picture_header import read_header


async def test_large_pictures_are_scaled_down_before_they_are_sent() -> None:
    """Not below the size that the stream is known to have; what is small goes as it is."""
    heard: list[Params | Steer] = []

    async def listens(peer: Peer) -> None:
        await peer.say(Ready())
        for _ in range(4):
            heard.append(await peer.hear())
        await peer.say(Completed(session_id="s"))
        await peer.until_closed()

    large, wide, small = picture(1, 3000, 2000), picture(2, 8000, 480), picture(3)
    async with stand_in(listens) as server, connect(server.url) as session:
        await session.start("a fox", width=640, height=320, start_frame=large)
        for data in (large, wide, small):
            await session.send_image(data)
        assert [frame async for frame in session] == []
    params, *steers = heard
    assert isinstance(params, Params)
    images = [one.image for one in steers if isinstance(one, Steer)]
    sizes = [read_header(data or b"") for data in (params.start_frame, *images)]
    assert [(one.width, one.height) for one in sizes if one] == [
        (2048, 1365),
        (2048, 1365),
        (5333, 320),
        (64, 64),
    ]
    assert images[2] == small


async def test_what_cannot_be_scaled_down_is_sent_and_its_size_is_in_the_log(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    heard: list[Params | Steer] = []

    async def listens(peer: Peer) -> None:
        await peer.say(Ready())
        heard.append(await peer.hear())
        await peer.say(Completed(session_id="s"))
        await peer.until_closed()

    large = picture(1, 3000, 2000)
    async with stand_in(listens) as server, connect(server.url) as session:
        await session.start("a fox", start_frame=large)
        assert [frame async for frame in session] == []
    (params,) = heard
    assert isinstance(params, Params) and params.start_frame == large
    assert "the start frame, 3000x2000" in caplog.text
    assert "framewire[video]" in caplog.text
