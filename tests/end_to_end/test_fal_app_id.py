"""An app id from end to end: key, fal-shaped token endpoint, TLS, gateway path, stream.

The real worker stands behind fal's URL shape, with a certificate that is made for the test.
"""

from pathlib import Path

import pytest
from support.servers.certificate import localhost_pem
from support.servers.stand_in import token_endpoint

from framewire.client import connect, local_worker
from framewire.client.tokens import mint_here
from framewire.protocol import TokenRequest

SECRET = "a secret that is long enough for HS256"


async def test_an_app_id_and_a_key_are_enough(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """FAL_KEY buys a token for the alias; the token opens wss://HOST/owner/alias/ws."""
    pem = localhost_pem(tmp_path)
    tls = ["--ssl-certfile", pem, "--ssl-keyfile", pem]
    env = {"FRAMEWIRE_SECRET": SECRET}
    asked = TokenRequest(allowed_apps=("krea-wan-14b",))
    monkeypatch.setenv("SSL_CERT_FILE", pem)
    monkeypatch.setenv("FAL_KEY", "id:secret")
    async with (
        token_endpoint(lambda n: mint_here(SECRET, asked)) as tokens,
        local_worker(["--auth", "jwt", *tls], backend="testcard", env=env) as worker,
    ):
        monkeypatch.setenv("FAL_RUN_HOST", worker.url.removeprefix("wss://").removesuffix("/ws"))
        async with connect("fal-ai/krea-wan-14b", token_url=tokens.url) as session:
            await session.start("a fox", num_blocks=1, width=64, height=64)
            assert len([frame async for frame in session]) == 6
            assert "/fal-ai/krea-wan-14b/ws" in repr(session)
    assert tokens.requests[0][0]["authorization"] == "Key id:secret"
    assert tokens.requests[0][1]["allowed_apps"] == ["krea-wan-14b"]
