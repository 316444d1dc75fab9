"""What a worker counts, for Prometheus. One registry a worker, nothing global."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """The counters, by the names that they have in `GET /metrics` (prefix `framewire_`)."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"framewire_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"framewire_{name}", text, registry=registry)

        self.connections = gauge("connections", "Open websockets.")
        self.sockets = gauge("sockets", "Open TCP connections.")
        self.half_message_bytes = gauge("half_message_bytes", "Bytes of messages not whole yet.")
        self.places = gauge("places", "Streams that there is room for.")
        self.sessions = gauge("sessions", "Streams that hold a place.")
        self.waiting = gauge("waiting", "Streams that wait for a place.")
        self.jobs_queued = gauge("jobs_queued", "Clips that wait in the queue.")
        self.jobs_running = gauge("jobs_running", "Clips of the queue that are being made.")
        self.jobs_ended = counter("jobs_ended", "Clips of the queue, by how they ended.", "how")
        self.frames = counter("frames", "Frames sent.")
        self.blocks = counter("blocks", "Blocks made.")
        self.bytes_sent = counter("bytes_sent", "Bytes of messages sent.")
        self.bytes_received = counter("bytes_received", "Bytes of messages received.")
        self.errors = counter("errors", "Errors said or swallowed, by code.", "code")
        self.refusals = counter(
            "refusals", "Callers turned away at the doors, by reason.", "reason"
        )
        self.pictures = counter("pictures", "Input pictures received.")
        self.pictures_dropped = counter("pictures_dropped", "Input pictures not used.")
        self.block_seconds = Histogram(
            "framewire_block_seconds",
            "Seconds that a block took, from its turn to its pictures, by preset.",
            ("preset",),
            buckets=_SECONDS,
            registry=registry,
        )
        self.stage_seconds = Histogram(
            "framewire_stage_seconds",
            "Seconds a block spent in a stage.",
            ("stage",),
            buckets=_SECONDS,
            registry=registry,
        )

    def block_made(self, preset: str, seconds: float) -> None:
        """A block of this preset was made in so many seconds, its finishing included."""
        self.blocks.inc()
        self.block_seconds.labels(preset).observe(seconds)

    def observe(self, stage: str, seconds: float) -> None:
        """A block took so long in `stage`."""
        self.stage_seconds.labels(stage).observe(seconds)

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self._registry)
