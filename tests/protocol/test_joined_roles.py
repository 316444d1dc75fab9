"""Both roles joined by a wire on which messages cross, driven in every order that hypothesis finds.

What either may say is what the table allows; what an honest worker says never surprises the client;
rubbish gets a typed answer; and however they have crossed, the two find back to one state.
"""

from collections import deque
from collections.abc import Callable

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from support.viewers.connection_pair import ConnectionPair

from framewire.protocol import (
    Completed,
    Error,
    ErrorCode,
    Frame,
    LocalProtocolError,
    Message,
    Params,
    Queued,
    Ready,
    RemoteProtocolError,
    State,
    Steer,
    Warned,
)
from framewire.protocol.states import TRANSITIONS, kind_of

FROM_CLIENT = st.one_of(
    st.builds(Params, prompt=st.sampled_from(["a", "b"]), seed=st.none() | st.integers(0, 9)),
    st.builds(
        Steer,
        prompt=st.none() | st.sampled_from(["a", "b"]),
        strength=st.none() | st.just(0.5),
        action=st.none() | st.sampled_from(["reset", "end"]),
        image=st.none() | st.just(b"\xff\xd8"),
    ),
)
FROM_WORKER = st.one_of(
    st.just(Ready()),
    st.just(Frame(jpeg=b"\xff\xd8\xff\xd9")),
    st.just(Completed(session_id="s")),
    st.sampled_from([Queued(position=1), Warned(reason="x")]),
    st.just(Error(code=ErrorCode.BAD_PARAMS, reason="x", errors=({"loc": ["a"], "msg": "x"},))),
)
RUBBISH = st.one_of(
    st.binary(max_size=12),
    st.text(max_size=12),
    st.sampled_from([b"\xc1", b"\x80", b"\x81\xa6prompt\xa0", b"\x81\xa6action\xa3end", '{"a":1}']),
)


class Joined(RuleBasedStateMachine):
    """A client and a worker, and what is on its way between them."""

    def __init__(self) -> None:
        super().__init__()
        self.pair = ConnectionPair()
        self.over = False

    def _send(self, side: str, message: Message) -> None:
        """What is allowed is sent, and nothing else is."""
        connection = getattr(self.pair, side)
        before = connection.state
        try:
            getattr(self.pair, f"{side}_sends")(message)
        except LocalProtocolError:
            assert kind_of(message) not in TRANSITIONS[before]
            assert connection.state is before
        else:
            assert connection.state is TRANSITIONS[before][kind_of(message)]

    @rule(message=FROM_CLIENT)
    def client_says(self, message: Message) -> None:
        self._send("client", message)

    @rule(message=FROM_WORKER)
    def worker_says(self, message: Message) -> None:
        self._send("worker", message)

    @rule(
        code=st.sampled_from([ErrorCode.TIMEOUT, ErrorCode.INTERNAL_ERROR]),
        chance=st.integers(0, 9),
    )
    def worker_fails(self, code: ErrorCode, chance: int) -> None:
        if chance == 0:
            self.over |= self.pair.worker.state is not State.FAILED
            self._send("worker", Error(code=code, reason="x"))

    @rule(data=RUBBISH)
    def rubbish_is_on_its_way(self, data: bytes | str) -> None:
        self.pair.to_worker.append(data)

    @precondition(lambda self: self.pair.to_client)
    @rule()
    def client_hears(self) -> None:
        """An honest worker never says what a client cannot take, whatever has crossed it."""
        self.pair.client_takes()

    @precondition(lambda self: self.pair.to_worker)
    @rule()
    def worker_hears(self) -> None:
        before = self.pair.worker.state
        try:
            self.pair.worker_takes()
        except RemoteProtocolError as error:
            assert error.reason and "\n" not in error.reason
            silent = before in (State.EARLY, State.STREAMING, State.FAILED)
            assert (error.reply is None) == silent or before is State.COMPLETED

    @invariant()
    def a_session_that_failed_stays_so(self) -> None:
        assert not self.over or self.pair.worker.state is State.FAILED

    def teardown(self) -> None:
        """Let everything arrive; then one stream more ends with both in the same state."""
        self._empty(self.pair.to_worker, self.worker_hears)
        self._empty(self.pair.to_client, self.client_hears)
        if self.over:
            assert self.pair.client.state is State.FAILED
            return
        if self.pair.worker.state in (State.OPENING, State.EARLY):
            self._tell(Ready())
        if self.pair.worker.state is State.READY:
            # The client may wait for a stream that was refused, or stand where it begins one.
            data = self.pair.worker.receive(b"\x81\xa6prompt\xa1a")
            assert isinstance(data, Params)
        if self.pair.worker.state is State.STREAMING:
            self._tell(Frame(jpeg=b"\xff\xd8\xff\xd9"))
            self._tell(Completed())
        assert self.pair.worker.state is self.pair.client.state is State.COMPLETED
        self.pair.tell_worker(Params(prompt="again"))
        assert self.pair.worker.state is self.pair.client.state is State.STREAMING

    def _tell(self, message: Message) -> None:
        assert self.pair.tell_client(message) == message

    @staticmethod
    def _empty(waiting: deque[bytes | str], take: Callable[[], None]) -> None:
        while waiting:
            take()


Joined.TestCase.settings = settings(max_examples=150, stateful_step_count=40)
test_two_roles_that_talk_across_each_other_stay_within_the_table = Joined.TestCase
