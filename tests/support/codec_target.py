"""What fuzzing drives: any bytes into the codecs and both roles, in every state.

Used by the fuzzing program in `tests/fuzz`, which looks for new inputs, and by the test that
replays the corpus. Whatever comes in, the only error allowed is the typed one.
"""

from contextlib import suppress

from framewire.protocol import (
    Connection,
    Error,
    LocalProtocolError,
    Message,
    RemoteProtocolError,
    Role,
    State,
    dump_text,
    pack_map,
    parse_text,
    unpack_map,
)

ROLES, STATES = tuple(Role), tuple(State)


def one_input(data: bytes) -> None:
    """Byte 0 chooses role and state, and whether the rest is TEXT.

    Raises:
        AssertionError: something else than a message or a typed error came of it.
    """
    choice, rest = (data[0], data[1:]) if data else (0, b"")
    role = ROLES[choice & 1]
    state = STATES[(choice >> 1) % len(STATES)]
    if choice & 0x80:
        text = rest.decode("utf-8", "replace")
        _survives_text(text)
        _is_heard(role, state, text)
    else:
        _survives_map(rest)
        _is_heard(role, state, rest)


def _survives_map(data: bytes) -> None:
    """What was read can be written and read again."""
    with suppress(RemoteProtocolError):
        once = pack_map(unpack_map(data))
        assert pack_map(unpack_map(once)) == once


def _survives_text(text: str) -> None:
    with suppress(RemoteProtocolError):
        once = dump_text(parse_text(text))
        assert dump_text(parse_text(once)) == once


def _is_heard(role: Role, state: State, data: bytes | str) -> None:
    """A message, or an error that says what to answer; what it says can be sent on."""
    connection = Connection(role)
    connection.state = state
    try:
        message = connection.receive(data)
    except RemoteProtocolError as error:
        assert error.reason and connection.state is state
        if error.reply is not None:
            assert role is Role.WORKER
            _can_be_sent(Connection(Role.WORKER), state, error.reply)
        return
    assert isinstance(message, Message)
    if isinstance(message, Error):
        assert message.code and message.reason
    _can_be_sent(Connection(Role.CLIENT if role is Role.WORKER else Role.WORKER), state, message)


def _can_be_sent(connection: Connection, state: State, message: Message) -> None:
    connection.state = state
    with suppress(LocalProtocolError):
        sent = connection.send(message)
        assert sent if isinstance(sent, str) else isinstance(sent, bytes)
        if isinstance(sent, str):
            sent.encode("utf-8")
