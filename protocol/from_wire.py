"""What every map from the wire has in common, and what is checked before a value is read."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class FromWire(BaseModel):
    """A map as it came: frozen, what it does not know left out."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    def wire(self) -> dict[str, Any]:
        """The map to send: only what was set, under its own name."""
        return self.model_dump(mode="python", exclude_unset=True, exclude_none=True)


def not_bool(value: Any) -> Any:
    """Refuse true and false, which Python takes for numbers."""
    if isinstance(value, bool):
        # pydantic reports a ValueError as a validation error, and nothing else.
        raise ValueError("must be a number, not true or false")  # noqa: TRY004
    return value


def not_bytes(value: Any) -> Any:
    """Refuse bytes, which pydantic takes for text where they happen to be UTF-8."""
    if isinstance(value, bytes | bytearray):
        raise ValueError("must be text (msgpack str), not bytes (msgpack bin)")  # noqa: TRY004
    return value
