"""A child that tries options as badly as its subject's name says, once they compile; see `proof`.

Fused projections always do well, so that what is left out is one part and not all.
"""

import json
import os
import pickle
import signal
import subprocess
import sys
from multiprocessing.connection import Connection
from pathlib import Path


def main() -> None:
    channel = Connection(int(sys.argv[1]))
    subject = pickle.loads(channel.recv_bytes())
    fault = subject.preset.name
    if fault == "never starts":
        signal.pause()
    channel.send_bytes(b'{"ready": true}')
    while True:
        options = pickle.loads(channel.recv_bytes())
        if not options.compile:
            channel.send_bytes(b'{"error": 0.0}')
            continue
        if fault == "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        if fault == "abort":
            os.abort()
        if fault == "exit":
            sys.exit(3)
        if fault == "hang":
            compiler = subprocess.Popen(["sleep", "600"])
            Path(subject.device).write_text(f"{os.getpid()} {compiler.pid}")
            signal.pause()
        said = {
            "raise": b'{"failed": "CompilerError: no\\u001b[31m compiler"}',
            "garbage": b"\xff\x00 no words",
            "no number": b'{"error": "small"}',
            "no map": b"[0.0]",
            "nan": json.dumps({"error": float("nan")}).encode(),
            "off": b'{"error": 0.5}',
        }[fault]
        channel.send_bytes(said)


if __name__ == "__main__":
    main()
