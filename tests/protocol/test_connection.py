"""Both roles of a connection: exact bytes, answers to bad messages, and other servers' shapes."""

import json
from typing import Any

import msgpack
import pytest
from support.viewers.connection_pair import ConnectionPair

from framewire.protocol import (
    CLOSE_CODES,
    MAX_MESSAGE_BYTES,
    CloseCode,
    Completed,
    Connection,
    Error,
    ErrorCode,
    Frame,
    LocalProtocolError,
    Message,
    Params,
    Ready,
    RemoteProtocolError,
    Role,
    State,
    Steer,
    Unknown,
    pack_map,
)

JPEG = b"\xff\xd8\xff\xe0picture\xff\xd9"
NIL_UUID = "00000000-0000-0000-0000-000000000000"


def worker_in(state: State) -> Connection:
    connection = Connection(Role.WORKER)
    connection.state = state
    return connection


def client_in(state: State) -> Connection:
    connection = Connection(Role.CLIENT)
    connection.state = state
    return connection


def refused(connection: Connection, data: bytes | str) -> RemoteProtocolError:
    with pytest.raises(RemoteProtocolError) as caught:
        connection.receive(data)
    return caught.value


def test_ready_is_exactly_the_bytes_that_clients_compare() -> None:
    assert Connection(Role.WORKER).send(Ready()) == '{"status":"ready"}'


def test_ready_names_the_worker_where_kreas_server_does() -> None:
    assert Connection(Role.WORKER).send(Ready(worker="w1")) == '{"status":"ready","worker":"w1"}'


def test_completed_is_sent_in_kreas_order() -> None:
    sent = worker_in(State.STREAMING).send(Completed(session_id="abc"))
    assert sent == '{"session_id":"abc","status":"completed"}'


def test_a_frame_is_a_bare_jpeg() -> None:
    assert worker_in(State.STREAMING).send(Frame(JPEG, index=3, block=1)) == JPEG


def test_a_frame_in_an_envelope_says_what_it_is() -> None:
    pair = ConnectionPair(envelope=True)
    pair.tell_client(Ready())
    pair.tell_worker(Params(prompt="x"))
    frame = Frame(JPEG, index=30, block=3, request_id="r", prompt_version=2)
    assert pair.tell_client(frame) == frame
    pair.worker_sends(frame)
    assert msgpack.unpackb(pair.to_client[-1]) == {
        "image": JPEG,
        "request_id": "r",
        "index": 30,
        "block": 3,
        "prompt_version": 2,
    }


def test_a_session_from_ready_to_a_second_stream() -> None:
    pair = ConnectionPair()
    assert pair.tell_client(Ready()) == Ready()
    assert pair.tell_worker(Params(prompt="a", seed=7)) == Params(prompt="a", seed=7)
    assert pair.tell_client(Frame(JPEG)) == Frame(JPEG)
    assert pair.tell_worker(Steer(prompt="b", interp_steps=1)) == Steer(prompt="b", interp_steps=1)
    assert pair.tell_client(Frame(JPEG)) == Frame(JPEG)
    assert pair.tell_client(Completed(session_id="s")) == Completed(session_id="s")
    assert pair.client.state is pair.worker.state is State.COMPLETED
    assert pair.tell_worker(Params(prompt="c")) == Params(prompt="c")
    assert pair.tell_client(Frame(JPEG)) == Frame(JPEG)
    assert pair.client.state is pair.worker.state is State.STREAMING


def test_params_may_be_sent_before_ready_was_seen() -> None:
    """fal's JavaScript client connects lazily, and sends as soon as the socket opens."""
    pair = ConnectionPair()
    pair.worker_sends(Ready())
    pair.client_sends(Params(prompt="x"))
    pair.client_sends(Steer(prompt="y"))
    assert isinstance(pair.worker_takes(), Params)
    assert isinstance(pair.worker_takes(), Steer)
    pair.worker_sends(Frame(JPEG))
    assert isinstance(pair.client_takes(), Ready)
    assert isinstance(pair.client_takes(), Frame)
    assert pair.client.state is pair.worker.state is State.STREAMING


def test_params_that_arrive_before_ready_was_sent_are_kept_in_order() -> None:
    pair = ConnectionPair()
    assert isinstance(pair.tell_worker(Params(prompt="x")), Params)
    assert pair.worker.state is State.EARLY
    pair.tell_client(Ready())
    assert pair.client.state is pair.worker.state is State.STREAMING


@pytest.mark.parametrize(
    ("values", "loc", "kind"),
    [
        ({}, ["prompt"], "missing"),
        ({"prompt": "  "}, ["prompt"], "value_error"),
        ({"prompt": "x", "width": 63}, ["width"], "greater_than_equal"),
        ({"prompt": "x", "width": 2049}, ["width"], "less_than_equal"),
        ({"prompt": "x", "num_blocks": 0}, ["num_blocks"], "greater_than_equal"),
        ({"prompt": "x", "strength": 1.5}, ["strength"], "less_than_equal"),
        ({"prompt": "x", "seed": -1}, ["seed"], "greater_than_equal"),
        ({"prompt": "x", "seed": 2**24 + 1}, ["seed"], "less_than_equal"),
        ({"prompt": "x", "start_frame": "/etc/passwd"}, ["start_frame"], "value_error"),
        ({"prompt": "x", "strength": float("nan")}, ["strength"], "finite_number"),
        ({"prompt": "x", "denoising_steps": [1, "a"]}, ["denoising_steps", 1], "float_parsing"),
        ({"prompt": b"\xff\xfe"}, ["prompt"], "value_error"),
    ],
)
def test_bad_params_are_answered_with_pydantic_shaped_errors(
    values: dict[str, Any], loc: list[Any], kind: str
) -> None:
    worker = worker_in(State.READY)
    error = refused(worker, pack_map(values))
    assert error.close_code is None
    assert error.reply is not None
    said = json.loads(worker.send(error.reply))
    assert list(said) == ["type", "error", "reason"]
    assert said["type"] == "x-fal-error"
    assert [(item["loc"], item["type"]) for item in said["error"]] == [(loc, kind)]
    assert set(said["error"][0]) == {"type", "loc", "msg"}
    assert "\n" not in said["reason"] and said["reason"].startswith(".".join(map(str, loc)))
    assert worker.state is State.READY


def test_every_fault_of_the_params_is_listed() -> None:
    error = refused(worker_in(State.READY), pack_map({"prompt": "", "width": 1, "seed": -1}))
    assert error.reply is not None
    assert [item["loc"] for item in error.reply.errors] == [("prompt",), ("width",), ("seed",)]
    assert error.reason.count("; ") == 2


def test_what_was_sent_is_not_repeated_in_the_answer() -> None:
    error = refused(worker_in(State.READY), pack_map({"prompt": "x", "seed": "my secret"}))
    assert error.reply is not None
    assert "my secret" not in str(worker_in(State.READY).send(error.reply))


@pytest.mark.parametrize(
    "data",
    [b"", b"\xc1", b"\x81\xa1", b"\x90", b"\x05", "", "{}", '{"prompt":"x"}', "\x00"],
    ids=repr,
)
def test_what_is_no_params_at_all_is_a_bad_message(data: bytes | str) -> None:
    worker = worker_in(State.READY)
    error = refused(worker, data)
    assert error.reply is not None
    said = json.loads(worker.send(error.reply))
    assert said == {"type": "x-fal-error", "error": "BAD_MESSAGE", "reason": error.reason}
    assert isinstance(worker.receive(pack_map({"prompt": "x"})), Params)


def test_a_message_that_is_too_large_is_a_bad_message() -> None:
    error = refused(worker_in(State.READY), bytes(MAX_MESSAGE_BYTES + 1))
    assert error.reply is not None and error.reply.code == ErrorCode.BAD_MESSAGE


@pytest.mark.parametrize("data", [b"\xc1", "text", pack_map({"prompt": ""})])
def test_twenty_refusals_in_a_row_close_the_socket(data: bytes | str) -> None:
    pair = ConnectionPair()
    pair.tell_client(Ready())
    codes = []
    for _ in range(20):
        assert not pair.worker.exhausted
        pair.to_worker.append(data)
        with pytest.raises(RemoteProtocolError) as caught:
            pair.worker_takes()
        codes.append(caught.value.close_code)
    assert codes == [None] * 19 + [CloseCode.POLICY]
    assert CloseCode.POLICY == 1008
    assert pair.worker.exhausted
    assert all(isinstance(pair.client_takes(), Error) for _ in range(20))


@pytest.mark.parametrize("between", [Frame(JPEG), Completed(session_id="s")])
def test_refusals_with_a_stream_in_between_are_not_in_a_row(between: Message) -> None:
    pair = ConnectionPair()
    pair.tell_client(Ready())
    for _ in range(3):
        for _ in range(19):
            pair.to_worker.append("no params")
            with pytest.raises(RemoteProtocolError) as caught:
                pair.worker_takes()
            assert caught.value.close_code is None
        pair.to_client.clear()
        pair.client.state = State.READY
        pair.tell_worker(Params(prompt="x"))
        pair.tell_client(between)
        pair.worker.state = State.READY


def test_params_that_the_worker_refuses_itself_count_as_refusals() -> None:
    """A start frame that is no picture is found only when it is decoded."""
    pair = ConnectionPair()
    pair.tell_client(Ready())
    for _ in range(20):
        assert not pair.worker.exhausted
        pair.tell_worker(Params(prompt="x", start_frame=b"no picture"))
        pair.tell_client(Error(code=ErrorCode.BAD_PARAMS, errors=({"loc": ["start_frame"]},)))
    assert pair.worker.exhausted


def test_a_bad_message_does_not_lose_params_that_came_before_ready() -> None:
    worker = Connection(Role.WORKER)
    worker.receive(pack_map({"prompt": "x"}))
    assert refused(worker, "text").reply is None
    assert worker.state is State.EARLY


def test_after_a_failure_nothing_is_answered() -> None:
    assert refused(worker_in(State.FAILED), "text").reply is None


@pytest.mark.parametrize(
    "data",
    ["text", b"\xc1", b"\x90", pack_map({"prompt": ""}), pack_map({"image": "/etc/passwd"})],
)
def test_while_streaming_a_bad_message_is_met_with_silence(data: bytes | str) -> None:
    """The demo app hangs up on any text with an error in it."""
    worker = worker_in(State.STREAMING)
    for _ in range(30):
        error = refused(worker, data)
        assert error.reply is None and error.close_code is None and error.reason
    assert worker.state is State.STREAMING and not worker.exhausted


def test_after_completed_only_a_prompt_without_a_picture_starts_anew() -> None:
    late = {"prompt": "x", "image": JPEG}
    worker = worker_in(State.COMPLETED)
    assert isinstance(worker.receive(pack_map(late)), Steer)
    assert isinstance(worker.receive(pack_map({"num_blocks": 5})), Steer)
    assert worker.state is State.COMPLETED
    assert isinstance(worker.receive(pack_map({"prompt": "x", "width": 640})), Params)
    assert worker.state is State.STREAMING


def test_after_completed_a_reset_starts_over_even_with_a_prompt() -> None:
    worker = worker_in(State.COMPLETED)
    message = worker.receive(pack_map({"action": "reset", "prompt": "x", "seed": 3}))
    assert message == Steer(action="reset", prompt="x", seed=3)
    assert worker.state is State.STREAMING


def test_after_completed_bad_params_are_answered() -> None:
    assert refused(worker_in(State.COMPLETED), pack_map({"prompt": " "})).reply is not None
    assert refused(worker_in(State.COMPLETED), pack_map({"image": 5})).reply is None


def test_an_update_before_params_is_refused_as_params() -> None:
    error = refused(worker_in(State.READY), pack_map({"action": "reset"}))
    assert error.reply is not None and error.reply.errors[0]["loc"] == ("prompt",)


def test_params_from_a_javascript_encoder_are_read() -> None:
    """Numbers as float64, the start frame as base64, keys that nobody knows, nil."""
    packer = msgpack.Packer()
    fields = {
        "prompt": "x",
        "width": 832.0,
        "num_blocks": 1000.0,
        "seed": None,
        "start_frame": "data:image/jpeg;base64,/9j/",
        "client_version": {"major": 1},
    }
    read = worker_in(State.READY).receive(packer.pack(fields))
    assert read == Params(prompt="x", width=832, num_blocks=1000, start_frame=b"\xff\xd8\xff")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Krea's own server: pydantic's list, bare.
        (
            '{"error":[{"type":"missing","loc":["prompt"],"msg":"Field required","input":{}}]}',
            ("BAD_PARAMS", "prompt: Field required", False),
        ),
        ('{"error":[{"msg":"no place"},{"loc":5}]}',
         ("BAD_PARAMS", "params: no place; params: invalid", False)),
        ('{"error":[]}', ("BAD_PARAMS", "[]", False)),
        ('{"error":["odd"]}', ("BAD_PARAMS", "['odd']", False)),
        # fal's gateway and fal.realtime.
        ('{"status":"error","error":"Unauthorized"}', ("UNAUTHORIZED", "UNAUTHORIZED", True)),
        (
            '{"type":"x-fal-error","error":"TIMEOUT","reason":"no inputs, reconnect when needed!"}',
            ("TIMEOUT", "no inputs, reconnect when needed!", True),
        ),
        ('{"type":"x-fal-error","error":"INTERNAL_ERROR","reason":""}',
         ("INTERNAL_ERROR", "INTERNAL_ERROR", True)),
        ('{"error":"GPU on fire"}', ("GPU on fire", "GPU on fire", True)),
        ('{"error":{"message":"x"}}', ("{'message': 'x'}", "{'message': 'x'}", True)),
        ('{"error":"BAD_MESSAGE","reason":"text"}', ("BAD_MESSAGE", "text", False)),
    ],
)  # fmt: skip
def test_errors_of_other_servers_are_read(text: str, expected: tuple[str, str, bool]) -> None:
    error = client_in(State.STREAMING).receive(text)
    assert isinstance(error, Error)
    assert (error.code, error.reason, error.ends_session) == expected


def test_errors_as_msgpack_are_read_whatever_is_in_them() -> None:
    data = msgpack.packb({"error": {b"k": b"\xff", "at": msgpack.Timestamp(1)}})
    error = client_in(State.STREAMING).receive(data)
    assert isinstance(error, Error) and error.ends_session


def test_kreas_envelope_is_read() -> None:
    frame = client_in(State.STREAMING).receive(pack_map({"image": JPEG, "request_id": NIL_UUID}))
    assert frame == Frame(JPEG, request_id=NIL_UUID)
    odd = pack_map({"image": JPEG, "index": "7", "request_id": 5})
    assert client_in(State.STREAMING).receive(odd) == Frame(JPEG)


@pytest.mark.parametrize(
    "text", ['{"status":"processing"}', '{"type":"x-fal-message","n":1}', "{}", '{"type":5}']
)
def test_messages_that_nobody_knows_are_no_errors(text: str) -> None:
    client = client_in(State.STREAMING)
    assert client.receive(text) == Unknown(json.loads(text))
    assert client.state is State.STREAMING


@pytest.mark.parametrize(
    "data",
    [
        "nonsense",
        "[]",
        b"\x89PNG",
        b"\x90",
        '{"type":"queued","position":"first"}',
        '{"type":"block"}',
        '{"status":"ready","worker":5}',
    ],
    ids=repr,
)
def test_what_no_server_should_send_is_the_servers_fault(data: bytes | str) -> None:
    error = refused(client_in(State.STREAMING), data)
    assert error.reply is None and error.close_code is None


def test_a_message_out_of_turn_is_the_peers_fault_and_says_what_was_due() -> None:
    error = refused(client_in(State.OPENING), JPEG)
    assert error.reason.startswith("frame while opening; expected ")
    assert "ready" in error.reason
    assert "nothing but the close" in refused(client_in(State.FAILED), '{"status":"ready"}').reason
    assert "steer while failed" in refused(worker_in(State.FAILED), pack_map({})).reason


def test_sending_out_of_turn_is_this_sides_fault() -> None:
    client = Connection(Role.CLIENT)
    with pytest.raises(LocalProtocolError, match="steer while opening; expected"):
        client.send(Steer(prompt="x"))
    with pytest.raises(LocalProtocolError, match="a client does not send Frame"):
        client.send(Frame(JPEG))
    with pytest.raises(LocalProtocolError, match="a worker does not send Params"):
        Connection(Role.WORKER).send(Params(prompt="x"))
    with pytest.raises(LocalProtocolError, match="unknown message cannot be sent"):
        worker_in(State.STREAMING).send(Unknown({}))
    assert client.state is State.OPENING


def test_what_cannot_be_encoded_leaves_the_state_as_it_was() -> None:
    client = client_in(State.READY)
    with pytest.raises(LocalProtocolError, match="cannot be sent"):
        client.send(Params.model_construct(prompt="x", num_blocks=2**64))
    assert client.state is State.READY


def test_errors_that_end_a_session_have_a_close_code() -> None:
    assert {code: int(CLOSE_CODES[code]) for code in ErrorCode} == {
        "BAD_PARAMS": 1008,
        "BAD_MESSAGE": 1008,
        "UNAUTHORIZED": 1008,
        "AT_CAPACITY": 1013,
        "TIMEOUT": 1008,
        "INTERNAL_ERROR": 1011,
    }
