"""The one table: complete, used by both roles, and consistent when messages cross on the wire."""

from contextlib import suppress

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from support.viewers.connection_pair import ConnectionPair

from framewire.protocol import (
    Completed,
    Connection,
    Error,
    ErrorCode,
    Frame,
    LocalProtocolError,
    Message,
    Params,
    Queued,
    Ready,
    RemoteProtocolError,
    Role,
    State,
    Steer,
    Warned,
)
from framewire.protocol.states import SENDER, TRANSITIONS, Kind, kind_of

JPEG = b"\xff\xd8\xff\xd9"
EXAMPLES: dict[Kind, Message] = {
    Kind.READY: Ready(),
    Kind.PARAMS: Params(prompt="x"),
    Kind.STEER: Steer(prompt="y"),
    Kind.RESET: Steer(action="reset"),
    Kind.FRAME: Frame(JPEG),
    Kind.EVENT: Warned(reason="x"),
    Kind.COMPLETED: Completed(session_id="s"),
    Kind.REJECTED: Error(code=ErrorCode.BAD_MESSAGE, reason="x"),
    Kind.FAILED: Error(code=ErrorCode.TIMEOUT, reason="x"),
}
TO_CLIENT = [kind for kind, sender in SENDER.items() if sender is Role.WORKER]


def test_the_table_covers_every_state_and_every_kind_has_a_sender() -> None:
    assert set(TRANSITIONS) == set(State)
    assert set(SENDER) == set(Kind)
    assert all(kind_of(message) is kind for kind, message in EXAMPLES.items())


def test_what_is_no_message_has_no_kind() -> None:
    with pytest.raises(AssertionError, match="unreachable"):
        kind_of("ready")  # type: ignore[arg-type]


def test_every_state_can_be_reached_and_all_but_the_last_be_left() -> None:
    reached = {State.OPENING} | {to for row in TRANSITIONS.values() for to in row.values()}
    assert reached == set(State)
    assert [state for state, row in TRANSITIONS.items() if not row] == [State.FAILED]


def test_an_error_may_end_any_session() -> None:
    for state, row in TRANSITIONS.items():
        if state is not State.FAILED:
            assert row[Kind.FAILED] is State.FAILED


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("kind", Kind)
def test_what_may_be_sent_is_what_the_table_says(state: State, kind: Kind) -> None:
    connection = Connection(SENDER[kind])
    connection.state = state
    if kind in TRANSITIONS[state]:
        connection.send(EXAMPLES[kind])
        assert connection.state is TRANSITIONS[state][kind]
    else:
        with pytest.raises(LocalProtocolError, match=f"{kind.value} while {state.value}"):
            connection.send(EXAMPLES[kind])
        assert connection.state is state


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("kind", TO_CLIENT)
def test_what_a_client_takes_is_what_the_table_says(state: State, kind: Kind) -> None:
    worker = Connection(Role.WORKER)
    worker.state = next(each for each, row in TRANSITIONS.items() if kind in row)
    data = worker.send(EXAMPLES[kind])
    client = Connection(Role.CLIENT)
    client.state = state
    if kind in TRANSITIONS[state]:
        assert kind_of(client.receive(data)) is kind
        assert client.state is TRANSITIONS[state][kind]
    else:
        with pytest.raises(RemoteProtocolError, match=f"{kind.value} while {state.value}"):
            client.receive(data)
        assert client.state is state


def test_a_prompt_that_crosses_completed_starts_a_stream_that_the_client_follows() -> None:
    pair = ConnectionPair()
    pair.tell_client(Ready())
    pair.tell_worker(Params(prompt="x"))
    pair.worker_sends(Completed(session_id="s"))
    pair.client_sends(Steer(prompt="y"))
    assert isinstance(pair.worker_takes(), Params)
    pair.worker_sends(Frame(JPEG))
    assert isinstance(pair.client_takes(), Completed)
    assert isinstance(pair.client_takes(), Frame)
    assert pair.client.state is pair.worker.state is State.STREAMING


def test_a_prompt_that_crosses_a_rejection_starts_a_stream_that_the_client_follows() -> None:
    pair = ConnectionPair()
    pair.tell_client(Ready())
    pair.tell_worker(Params(prompt="x", start_frame=b"no picture"))
    pair.worker_sends(Error(code=ErrorCode.BAD_PARAMS, reason="start_frame"))
    pair.client_sends(Steer(prompt="y"))
    assert isinstance(pair.worker_takes(), Params)
    pair.worker_sends(Completed(session_id="s"))
    assert isinstance(pair.client_takes(), Error)
    assert isinstance(pair.client_takes(), Completed)
    assert pair.client.state is pair.worker.state is State.COMPLETED


FROM_CLIENT = st.sampled_from(
    [
        Params(prompt="a"),
        Params(prompt="b", width=64, seed=1, start_frame=JPEG),
        Steer(prompt="c", interp_steps=1),
        Steer(strength=0.5),
        Steer(image=JPEG),
        Steer(image=JPEG, prompt="d"),
        Steer(action="end"),
        Steer(action="reset"),
        Steer(action="reset", prompt="e"),
        Steer(num_blocks=9, at_block=3),
    ]
)
FROM_WORKER = st.sampled_from(
    [
        Ready(),
        Frame(JPEG),
        Frame(JPEG),
        Completed(session_id="s"),
        Queued(position=1),
        Warned(reason="x"),
        Error(code=ErrorCode.INTERNAL_ERROR, reason="x"),
    ]
)


class BothSides(RuleBasedStateMachine):
    """Both sides say what they may, and messages arrive in order but late.

    Whatever crosses, no side may be told that the other broke the protocol (but that params are
    refused), and once all has arrived both must be where a next frame can be understood.
    """

    @initialize()
    def connect(self) -> None:
        self.pair = ConnectionPair()

    @rule(message=FROM_CLIENT)
    def client_sends(self, message: Message) -> None:
        with suppress(LocalProtocolError):
            self.pair.client_sends(message)

    @rule(message=FROM_WORKER)
    def worker_sends(self, message: Message) -> None:
        with suppress(LocalProtocolError):
            self.pair.worker_sends(message)

    @precondition(lambda self: self.pair.worker.state in (State.EARLY, State.STREAMING))
    @rule()
    def worker_refuses_the_params_it_took(self) -> None:
        self.pair.worker_sends(Error(code=ErrorCode.BAD_PARAMS, reason="no picture"))

    @precondition(lambda self: self.pair.to_client)
    @rule()
    def client_takes(self) -> None:
        self.pair.client_takes()

    @precondition(lambda self: self.pair.to_worker)
    @rule()
    def worker_takes(self) -> None:
        worker = self.pair.worker
        state = worker.state
        try:
            self.pair.worker_takes()
        except RemoteProtocolError as error:
            # A map that was meant to steer, and came where params are due.
            assert error.reply is not None or state is State.FAILED
            assert error.reply is None or error.reply.code == ErrorCode.BAD_PARAMS

    @rule()
    def everything_arrives(self) -> None:
        pair = self.pair
        while pair.to_worker or pair.to_client:
            if pair.to_worker:
                self.worker_takes()
            if pair.to_client:
                self.client_takes()
        if pair.worker.state in (State.OPENING, State.EARLY):
            pair.tell_client(Ready())
        if pair.worker.state is State.STREAMING:
            pair.tell_client(Frame(JPEG))
        assert pair.client.state is pair.worker.state

    def teardown(self) -> None:
        self.everything_arrives()


BothSides.TestCase.settings = settings(max_examples=100, stateful_step_count=25)
TestBothSides = BothSides.TestCase
