"""Two protocol connections joined without I/O: what one sends waits until the other takes it.

Messages of the two directions can be taken in any order, so that they cross as on a real wire.
"""

from collections import deque

from framewire.protocol import Connection, Message, RemoteProtocolError, Role


class ConnectionPair:
    """A client's and a worker's connection, and what is on its way between them."""

    def __init__(self, *, envelope: bool = False) -> None:
        self.client = Connection(Role.CLIENT)
        self.worker = Connection(Role.WORKER, envelope=envelope)
        self.to_client: deque[bytes | str] = deque()
        self.to_worker: deque[bytes | str] = deque()

    def client_sends(self, message: Message) -> None:
        self.to_worker.append(self.client.send(message))

    def worker_sends(self, message: Message) -> None:
        self.to_client.append(self.worker.send(message))

    def client_takes(self) -> Message:
        return self.client.receive(self.to_client.popleft())

    def worker_takes(self) -> Message:
        """The next message; a refusal is answered as a driver would, then raised."""
        try:
            return self.worker.receive(self.to_worker.popleft())
        except RemoteProtocolError as error:
            if error.reply is not None:
                self.worker_sends(error.reply)
            raise

    def tell_worker(self, message: Message) -> Message:
        """Send from the client and take at the worker, nothing else being on the way."""
        self.client_sends(message)
        return self.worker_takes()

    def tell_client(self, message: Message) -> Message:
        """Send from the worker and take at the client, nothing else being on the way."""
        self.worker_sends(message)
        return self.client_takes()
