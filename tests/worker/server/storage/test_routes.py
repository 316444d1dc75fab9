"""The storage over real HTTP: who may hand in a file, how it is given out, and what is refused."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from playwright.async_api import Browser
from support.clock import at_rest, time_passes
from support.servers.worker_server import PATIENCE, Running, command, serving
from support.video_files_made import video
from support.viewers.raw_viewer import opened

from framewire.worker.server.on_uvicorn import http as uvicorn_http
from framewire.worker.server.storage import receiving

SECRET = "a secret of more than thirty-two bytes"
KEY = {"Authorization": "Key k1"}
JWT = {"auth": "jwt", "key": "k1", "secret": SECRET}
ONE, OTHER = {"X-Forwarded-For": "203.0.113.7"}, {"X-Forwarded-For": "203.0.113.8"}
SCRIPT = b"<script>document.title = 'it ran'</script>"


@pytest.fixture
async def worker() -> AsyncIterator[Running]:
    async with serving() as running:
        yield running


async def ask(worker: Running, method: str, path: str, **request: Any) -> httpx.Response:
    async with httpx.AsyncClient(base_url=worker.http, trust_env=False, timeout=PATIENCE) as client:
        return await client.request(method, path, **request)


async def handed_in(
    worker: Running, data: bytes, kind: str = "text/plain", headers: Any = None, name: str = ""
) -> httpx.Response:
    said = {"Content-Type": kind, "X-Fal-File-Name": name} | (headers or {})
    return await ask(worker, "POST", "/files/upload", content=data, headers=said)


async def url_of(worker: Running, data: bytes, kind: str = "text/plain", name: str = "") -> str:
    answer = await handed_in(worker, data, kind, name=name)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_url"])


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not happened():  # noqa: ASYNC110 (a count tells nobody)
            await asyncio.sleep(0.005)


def path_of(url: str) -> str:
    return httpx.URL(url).path


async def test_an_upload_token_hands_in_files_and_opens_nothing_else() -> None:
    async with serving(**JWT) as worker:
        token = "/storage/auth/token?storage_type=fal-cdn-v3"
        for refused in ({}, {"Authorization": "Key wrong"}, {"Authorization": "Bearer wrong"}):
            assert (await ask(worker, "POST", token, headers=refused, json={})).status_code == 401
        said = (await ask(worker, "POST", token, headers=KEY, json={})).json()
        assert set(said) == {"token", "token_type", "base_url", "expires_at"}
        assert said["base_url"] == worker.http and said["token_type"] == "Bearer"
        left = datetime.fromisoformat(said["expires_at"]) - datetime.now(UTC)
        assert 0 < left.total_seconds() <= 600
        bearer = {"Authorization": f"Bearer {said['token']}"}
        for headers in (bearer, KEY, {"Authorization": "Bearer k1"}):
            assert (await handed_in(worker, b"x", headers=headers)).status_code == 200
        async with opened(f"{worker.url}?fal_jwt_token={said['token']}") as viewer:
            assert (await viewer.next())["error"] == "UNAUTHORIZED"
        mint = await ask(worker, "POST", "/tokens/", headers=bearer, json={"allowed_apps": ["x"]})
        clip = await ask(worker, "POST", "/text-to-video", headers=bearer, json={"prompt": "a"})
        assert (mint.status_code, clip.status_code) == (401, 401)


async def test_no_other_token_hands_in_a_file() -> None:
    now = int(time.time())
    ours = {"aud": "framewire uploads", "iat": now, "exp": now + 60}
    viewer = {"allowed_apps": ["krea-wan-14b"], "iat": now, "exp": now + 60}
    async with serving(**JWT) as worker:
        for claims, secret in (
            (viewer, SECRET),
            (ours | {"exp": now - 1}, SECRET),
            (ours | {"aud": "another"}, SECRET),
            (ours, SECRET[::-1]),
            ({"aud": "framewire uploads"}, SECRET),
        ):
            headers = {"Authorization": f"Bearer {jwt.encode(claims, secret)}"}
            answer = await handed_in(worker, b"x", headers=headers)
            assert answer.status_code == 401 and "token" in answer.json()["detail"]
        for path in (
            "/files/upload",
            "/files/upload/multipart",
            "/storage/upload/initiate",
            "/storage/upload/initiate-multipart",
        ):
            assert (await ask(worker, "POST", path, json={})).status_code == 401


async def test_attempts_to_get_a_token_are_counted_as_those_of_a_mint() -> None:
    async with serving(caller_tokens=2, **JWT) as worker:
        path = "/storage/auth/token"
        for _ in range(2):
            assert (await ask(worker, "POST", path, headers=ONE)).status_code == 401
        assert (await ask(worker, "POST", path, headers=ONE | KEY)).status_code == 429
        assert (await ask(worker, "POST", path, headers=OTHER | KEY)).status_code == 200


async def test_pages_of_other_sites_hand_in_nothing_to_loopback(worker: Running) -> None:
    begun = (await ask(worker, "POST", "/storage/upload/initiate", json={})).json()
    target = path_of(begun["upload_url"])
    for headers in ({"Origin": "https://evil.example"}, {"Host": "evil.example"}):
        assert (await handed_in(worker, b"x", headers=headers)).status_code == 401
        assert (await ask(worker, "PUT", target, content=b"x", headers=headers)).status_code == 401
    assert (await ask(worker, "PUT", target, content=b"x")).status_code == 200


async def test_an_url_that_was_handed_out_takes_one_file_without_a_key() -> None:
    """As the JavaScript client sends it."""
    async with serving(**JWT) as worker:
        said = {"file_name": "in.mp4", "content_type": "video/mp4"}
        path = "/storage/upload/initiate?storage_type=fal-cdn-v3"
        begun = (await ask(worker, "POST", path, json=said, headers=KEY)).json()
        target, url = path_of(begun["upload_url"]), path_of(begun["file_url"])
        assert (await ask(worker, "GET", url)).status_code == 404
        assert (await ask(worker, "PUT", target, content=b"bytes")).status_code == 200
        assert (await ask(worker, "PUT", target, content=b"other")).status_code == 404
        answer = await ask(worker, "GET", url)
        assert answer.content == b"bytes" and answer.headers["content-type"] == "video/mp4"
        assert (await ask(worker, "PUT", target[:-1], content=b"x")).status_code == 404
        for other in (url, f"{url}/upload", f"{url}/upload/x", f"{url}/multipart/x/1"):
            assert (await ask(worker, "PUT", other, content=b"x")).status_code in (404, 405)


async def test_parts_are_sent_to_an_url_that_was_handed_out_and_named_in_the_end() -> None:
    async with serving(**JWT) as worker:
        path = "/storage/upload/initiate-multipart?storage_type=fal-cdn-v3"
        begun = (await ask(worker, "POST", path, json={"file_name": "a.bin"}, headers=KEY)).json()
        target = path_of(begun["upload_url"])
        parts = []
        for number in (2, 1):
            answer = await ask(worker, "PUT", f"{target}/{number}", content=b"%d" % number)
            assert answer.json()["etag"] == answer.headers["etag"]
            parts.append({"partNumber": number, "etag": answer.json()["etag"]})
        wrong = {"parts": [*parts, {"partNumber": 3, "etag": "x"}]}
        refused = await ask(worker, "POST", f"{target}/complete", json=wrong)
        assert refused.status_code == 422 and "3" in refused.json()["detail"]
        assert (await ask(worker, "POST", f"{target}/complete", json=[])).status_code == 422
        for _ in range(2):  # as after an answer that was lost
            done = await ask(worker, "POST", f"{target}/complete", json={"parts": parts})
            assert done.status_code == 200 and done.json()["file_url"] == begun["file_url"]
        assert (await ask(worker, "GET", path_of(begun["file_url"]))).content == b"12"
        for stranger in (f"{target}x/complete", "/files/none/multipart/none/complete"):
            answer = await ask(worker, "POST", stranger, content=b"of no interest to anybody")
            assert answer.status_code == 404
        assert (await ask(worker, "PUT", f"{target}/0", content=b"x")).status_code == 404
        assert (await ask(worker, "PUT", f"{target}/x", content=b"x")).status_code == 422


@pytest.mark.parametrize(
    "kind",
    ["text/html", "image/svg+xml", "application/xhtml+xml", "text/javascript", "text/xml",
     "application/pdf", "text/css", "nonsense", "text/html; charset=utf-8", "TEXT/HTML"],
)  # fmt: skip
async def test_what_a_browser_could_run_is_given_out_as_bytes_to_be_saved(
    worker: Running, kind: str
) -> None:
    url = await url_of(worker, SCRIPT, kind, "page.html")
    answer = await ask(worker, "GET", path_of(url))
    assert answer.content == SCRIPT
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"].startswith("sandbox; default-src 'none'")


@pytest.mark.browser
async def test_an_uploaded_page_runs_no_script_in_a_browser(
    worker: Running, browser: Browser
) -> None:
    urls = [
        await url_of(worker, SCRIPT, "text/html", "a.html"),
        await url_of(worker, SCRIPT, "image/png", "a.html"),
        await url_of(worker, SCRIPT, "text/plain", "a.html"),
        await url_of(
            worker, b"<svg xmlns='http://www.w3.org/2000/svg'>%s</svg>" % SCRIPT, "image/svg+xml"
        ),
    ]
    library = await url_of(worker, b"document.title = 'it ran'", "text/javascript", "a.js")
    page = await browser.new_page()
    for url in urls:
        await page.goto(f"{worker.http}/health")
        await page.evaluate(
            """url => new Promise(done => {
                const frame = document.createElement("iframe");
                frame.src = url;
                frame.onload = done;
                setTimeout(done, 500);
                document.body.append(frame);
            })""",
            url,
        )
        titles = [await frame.title() for frame in page.frames]
        assert "it ran" not in titles
    ran = await page.evaluate(
        """url => new Promise(done => {
            const script = document.createElement("script");
            script.src = url;
            script.onload = () => done(true);
            script.onerror = () => done(false);
            document.body.append(script);
        })""",
        library,
    )
    assert not ran and await page.title() != "it ran"


async def test_names_of_files_are_names_alone(worker: Running) -> None:
    for said, given in (
        ("../../etc/passwd", "passwd"),
        ("C:\\folder\\clip.mp4", "clip.mp4"),
        ('a"; filename=b.html', "a%22%3B%20filename%3Db.html"),
    ):
        url = await url_of(worker, b"x", "video/mp4", said)
        answer = await ask(worker, "GET", path_of(url))
        assert given in answer.headers["content-disposition"]
        assert "/" not in path_of(url).removeprefix("/files/")


async def test_parts_of_a_file_are_given_out_as_players_ask(worker: Running) -> None:
    url = path_of(await url_of(worker, b"0123456789", "video/mp4"))
    answer = await ask(worker, "GET", url, headers={"Range": "bytes=2-4"})
    assert (answer.status_code, answer.content) == (206, b"234")
    head = await ask(worker, "HEAD", url)
    assert head.headers["content-length"] == "10" and head.content == b""


async def test_only_urls_as_they_were_told_are_read_and_no_request_is_made(
    worker: Running,
) -> None:
    url = await url_of(worker, video([(200, 0, 0)] * 3), "video/mp4")
    body = {"prompt": "a", "width": 128, "height": 64, "num_frames": 18}
    path = "/video-to-video"
    assert (await ask(worker, "POST", path, json=body | {"video_url": url})).status_code == 200
    name = path_of(url)
    port = httpx.URL(url).port
    for other in (
        f"http://127.0.0.1:{port}.evil.example{name}",
        f"http://localhost:{port}{name}",
        f"http://user@127.0.0.1:{port}{name}",
        f"http://127.0.0.1:{port}/clips{name}",
        f"{url}?a",
        f"http://127.0.0.1:{port}/health",
    ):
        answer = await ask(worker, "POST", path, json=body | {"video_url": other})
        assert answer.status_code == 422 and "video_url" in answer.text, other


async def test_a_file_larger_than_an_input_may_be_is_refused_for_it() -> None:
    async with serving(video_megabytes=1) as worker:
        url = await url_of(worker, b"x" * 1_000_001, "video/mp4")
        body = {"prompt": "a", "video_url": url}
        answer = await ask(worker, "POST", "/video-to-video", json=body)
        assert answer.status_code == 422 and "more than 1 MB" in answer.text


async def test_bodies_are_bounded_with_and_without_their_length_said() -> None:
    async def unsaid() -> AsyncIterator[bytes]:
        for _ in range(11):
            yield b"x" * 100_000

    async with serving(upload_file_megabytes=1) as worker:
        assert (await handed_in(worker, b"x" * 1_000_001)).status_code == 413
        answer = await ask(worker, "POST", "/files/upload", content=unsaid())
        assert answer.status_code == 413
        begun = (await ask(worker, "POST", "/files/upload/multipart")).json()
        target = f"{path_of(begun['access_url'])}/multipart/{begun['uploadId']}"
        for number, status in ((1, 200), (2, 413)):
            part = await ask(worker, "PUT", f"{target}/{number}", content=b"x" * 600_000)
            assert part.status_code == status
        kept = worker.server._app.state.uploads
        assert kept.bytes_kept == 600_000


async def test_what_an_address_may_keep_and_have_under_way_is_bounded() -> None:
    async with serving(caller_uploads=1, caller_upload_megabytes=1) as worker:
        path = "/files/upload/multipart"
        assert (await ask(worker, "POST", path, headers=ONE)).status_code == 200
        busy = await ask(worker, "POST", path, headers=ONE)
        assert busy.status_code == 429 and "finish one" in busy.json()["detail"]
        assert (await handed_in(worker, b"x" * 600_000, headers=OTHER)).status_code == 200
        full = await handed_in(worker, b"x" * 600_000, headers=OTHER)
        assert full.status_code == 507 and "from your address" in full.json()["detail"]
        counted = (await ask(worker, "GET", "/metrics")).text
        assert 'framewire_refusals_total{reason="uploads"} 1.0' in counted
        assert 'framewire_refusals_total{reason="storage"} 1.0' in counted
        assert busy.headers["retry-after"] == "5"
        assert (await handed_in(worker, b"x" * 600_000)).status_code == 200


async def test_how_long_a_file_is_kept_may_be_asked_for_and_who_reads_it_may_not(
    worker: Running,
) -> None:
    header = "X-Fal-Object-Lifecycle"
    for said, status, words in (
        ('{"expiration_duration_seconds": 60}', 200, ""),
        ('{"initial_acl": {"default": "allow"}}', 200, ""),
        ('{"initial_acl": {"default": "forbid"}}', 422, "whoever knows its URL may"),
        ('{"initial_acl": {"rules": [{"user": "u", "decision": "hide"}]}}', 422, "knows its URL"),
        ('{"expiration_duration_seconds": -1}', 422, header),
        ("{", 422, header),
    ):
        answer = await handed_in(worker, b"x", headers={header: said})
        assert answer.status_code == status and words in answer.text
    uploads = worker.server._app.state.uploads
    lives = [kept.upload.expires_at - time.time() for kept in uploads._kept.values()]
    assert lives[0] <= 60 < lives[1] <= 86_400


@contextlib.asynccontextmanager
async def half_a_body(worker: Running, authorization: str) -> AsyncIterator[asyncio.StreamReader]:
    """What is said to who sends three bytes of ten, and then nothing."""
    reader, writer = await asyncio.open_connection("127.0.0.1", worker.port)
    head = f"POST /files/upload HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {authorization}\r\n"
    writer.write(head.encode() + b"Content-Length: 10\r\n\r\none")
    yield reader
    writer.close()


async def test_a_file_may_take_longer_than_other_bodies_and_not_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(uvicorn_http, "BODY_SECONDS", uvicorn_http.HEAD_SECONDS)
    monkeypatch.setattr(receiving, "PIECE_SECONDS", 600.0)
    go_on = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"one "
        await go_on.wait()
        yield b"two"

    async with serving(**JWT) as worker:
        sending = asyncio.create_task(
            ask(worker, "POST", "/files/upload", content=slow(), headers=KEY)
        )
        uploads = worker.server._app.state.uploads
        await until(lambda: bool(uploads._halves))
        async with half_a_body(worker, "Key wrong") as stranger:
            async with asyncio.timeout(PATIENCE):
                assert b" 401 " in await stranger.readuntil(b"\r\n\r\n")
            for _ in range(3):
                time_passes(uvicorn_http.HEAD_SECONDS)
                await at_rest()
            async with asyncio.timeout(PATIENCE):
                await stranger.read()  # its end: it was there as long as a stranger's body may be
        go_on.set()
        assert (await sending).status_code == 200
        monkeypatch.setattr(receiving, "PIECE_SECONDS", 0.1)
        monkeypatch.setattr(receiving, "FILE_SECONDS", 0.2)
        async with half_a_body(worker, "Key k1") as late, asyncio.timeout(PATIENCE):
            said = await late.readuntil(b"nothing came for 0.1 s")
        assert b" 408 " in said
        assert uploads.bytes_kept == 7


async def test_whoever_leaves_in_the_middle_leaves_nothing(worker: Running) -> None:
    head = b"POST /files/upload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 3000000\r\n\r\n"
    _, writer = await asyncio.open_connection("127.0.0.1", worker.port)
    writer.write(head + b"x" * 2_000_000)
    await writer.drain()
    uploads = worker.server._app.state.uploads
    await until(lambda: bool(uploads.bytes_kept))
    writer.close()
    await until(lambda: not (uploads.bytes_kept or uploads._halves))


async def test_a_file_is_there_after_a_restart_of_the_worker(tmp_path: Path) -> None:
    state = ("--state-folder", str(tmp_path / "state"))
    async with (
        command(*state) as first,
        httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client,
    ):
        said = await client.post(f"{first.http}/files/upload", content=b"bytes")
        name = path_of(said.json()["access_url"])
        first.signal()
        assert await first.exit_code() == 0
    async with (
        command(*state) as again,
        httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client,
    ):
        assert (await client.get(again.http + name)).content == b"bytes"
