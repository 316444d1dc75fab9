"""Generated messages: all survive the wire, and any bytes or text get a message or a typed error."""

import json
from contextlib import suppress
from typing import Any

import msgpack
from hypothesis import given, settings
from hypothesis import strategies as st

from framewire.protocol import (
    BlockDone,
    Completed,
    Connection,
    Error,
    ErrorCode,
    Frame,
    Message,
    Params,
    ProtocolError,
    Queued,
    Ready,
    RemoteProtocolError,
    Role,
    Started,
    State,
    Steer,
    Steered,
    Warned,
    pack_map,
)


def connection_in(state: State, role: Role, *, envelope: bool = False) -> Connection:
    connection = Connection(role, envelope=envelope)
    connection.state = state
    return connection


WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NUMBERS = st.integers(0, 2**53)
SIDES = st.integers(1, 65535)
FROM_WORKER = st.one_of(
    st.builds(Ready, worker=WORDS | st.none()),
    st.builds(Completed, session_id=WORDS),
    st.builds(Frame, jpeg=st.binary(max_size=20).map(lambda tail: b"\xff\xd8" + tail)),
    st.builds(Error, code=st.sampled_from(list(ErrorCode)[1:]), reason=WORDS.filter(bool)),
    st.builds(
        Error,
        code=st.just(ErrorCode.BAD_PARAMS),
        reason=WORDS.filter(bool),
        errors=st.tuples(st.fixed_dictionaries({"loc": st.lists(WORDS), "msg": WORDS})),
    ),
    st.builds(Queued, position=NUMBERS),
    st.builds(
        Started,
        session_id=WORDS,
        seed=NUMBERS,
        width=SIDES,
        height=SIDES,
        num_blocks=NUMBERS,
        backend=WORDS,
    ),
    st.builds(
        BlockDone,
        block=NUMBERS,
        index=NUMBERS,
        frames=NUMBERS,
        prompt_version=NUMBERS,
        ms=st.dictionaries(WORDS, st.floats(0, 1e6), max_size=3),
    ),
    st.builds(
        Steered,
        block=NUMBERS,
        prompt_version=NUMBERS,
        applied=st.lists(WORDS, max_size=3).map(tuple),
    ),
    st.builds(Warned, reason=WORDS),
)
PROMPTS = WORDS.filter(str.strip)
PICTURES = st.binary(min_size=1, max_size=20)
STRENGTHS = st.floats(0.01, 1)
PARAMS = st.fixed_dictionaries(
    {"prompt": PROMPTS},
    optional={
        "width": st.integers(64, 2048),
        "height": st.integers(64, 2048),
        "num_blocks": st.integers(1, 2**63 - 1),
        "num_denoising_steps": st.integers(1, 8),
        "denoising_steps": st.just((1000.0, 500.0)),
        "seed": st.integers(0, 2**24),
        "strength": STRENGTHS,
        "start_frame": PICTURES,
        "timestep_shift": st.floats(0.1, 20),
        "kv_cache_num_frames": st.integers(1, 12),
        "keep_first_frame": st.booleans(),
        "interp_steps": st.integers(1, 64),
        "prompt_switch": st.sampled_from(["blend", "flush", "recache"]),
        "webcam_mode": st.booleans(),
        "input": st.sampled_from(["newest", "all"]),
        "fps": st.just(0) | st.floats(0.1, 1000),
        "events": st.booleans(),
        "fmt": st.sampled_from(["jpeg", "msgpack"]),
    },
).map(Params.model_validate)
STEERS = st.fixed_dictionaries(
    {},
    optional={
        "prompt": PROMPTS,
        "interp_steps": st.integers(1, 64),
        "num_blocks": st.integers(1, 2**63 - 1),
        "strength": STRENGTHS,
        "seed": st.integers(0, 2**24),
        "action": st.sampled_from(["reset", "end"]),
        "image": PICTURES,
        "request_id": WORDS,
        "timestamp": st.floats(0, 2e12),
        "at_block": st.integers(0, 2**63 - 1),
    },
).map(Steer.model_validate)


@given(FROM_WORKER)
def test_what_a_worker_says_survives_the_wire(message: Message) -> None:
    state = State.OPENING if isinstance(message, Ready) else State.STREAMING
    assert (
        connection_in(state, Role.CLIENT).receive(connection_in(state, Role.WORKER).send(message))
        == message
    )


@given(
    st.builds(
        Frame,
        jpeg=st.binary(min_size=1, max_size=20),
        index=NUMBERS | st.none(),
        block=NUMBERS | st.none(),
        request_id=WORDS | st.none(),
        prompt_version=NUMBERS | st.none(),
    )
)
def test_frames_in_envelopes_survive_the_wire(frame: Frame) -> None:
    worker = connection_in(State.STREAMING, Role.WORKER, envelope=True)
    assert connection_in(State.STREAMING, Role.CLIENT).receive(worker.send(frame)) == frame


@given(PARAMS, STEERS)
def test_what_a_client_says_survives_the_wire(params: Params, steer: Steer) -> None:
    sent = connection_in(State.READY, Role.CLIENT).send(params)
    assert connection_in(State.READY, Role.WORKER).receive(sent) == params
    assert (
        connection_in(State.STREAMING, Role.WORKER).receive(
            connection_in(State.STREAMING, Role.CLIENT).send(steer)
        )
        == steer
    )


ALMOST = st.dictionaries(
    st.sampled_from(
        ["prompt", "error", "status", "type", "image", "seed", "action", "reason", "width", "index"]
    ),
    st.sampled_from(["ready", "completed", "block", "x", "reset", 5, -1, 1.5, [], [{}], {}])
    | st.binary(max_size=4)
    | st.lists(st.dictionaries(st.sampled_from(["loc", "msg"]), st.integers(-9, 9) | st.none()))
    | st.dictionaries(st.integers(0, 9) | st.binary(max_size=2), st.binary(max_size=2)),
)
ANYTHING = st.one_of(
    st.binary(max_size=100),
    st.binary(max_size=100).map(lambda tail: b"\x82" + tail),
    st.binary(max_size=20).map(lambda tail: b"\xff\xd8" + tail),
    ALMOST.map(lambda values: bytes(msgpack.packb(values))),
    st.text(max_size=100),
    ALMOST.map(lambda values: json.dumps(values, default=repr, skipkeys=True)),
)


@settings(max_examples=400)
@given(ANYTHING, st.sampled_from(Role), st.sampled_from(State))
def test_anything_in_is_a_message_or_a_remote_error(
    data: bytes | str, role: Role, state: State
) -> None:
    connection = connection_in(state, role)
    try:
        message = connection.receive(data)
    except RemoteProtocolError as error:
        assert error.reason and connection.state is state
        if error.reply is not None:
            assert role is Role.WORKER
            connection.send(error.reply)
    else:
        assert isinstance(message, Message)


@settings(max_examples=100)
@given(st.lists(ANYTHING, max_size=30))
def test_any_run_of_messages_leaves_a_worker_that_still_takes_params(run: list[Any]) -> None:
    worker = Connection(Role.WORKER)
    worker.send(Ready())
    for data in run:
        try:
            worker.receive(data)
        except RemoteProtocolError as error:
            with suppress(ProtocolError):
                if error.reply is not None:
                    worker.send(error.reply)
    assert worker.receive(pack_map({"prompt": "x"})).prompt == "x"  # type: ignore[union-attr]
    assert worker.state is State.STREAMING
