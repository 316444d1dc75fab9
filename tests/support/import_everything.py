"""Run as a script with module names: imports them all, and prints as JSON what that changed.

Knows what an import must leave alone; the test that judges the answer is in `layout/test_imports`.
"""

import importlib
import json
import logging
import os
import signal
import sys
import threading


def state() -> dict[str, object]:
    """What importing one of our modules must not change. Loads torch where it is installed."""
    loggers = logging.root.manager.loggerDict
    found: dict[str, object] = {
        "threads": threading.active_count(),
        "log handlers": len(logging.getLogger().handlers),
        "log levels": [
            name
            for name in loggers
            if name.startswith("framewire") and logging.getLogger(name).level
        ],
        "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
        "folder": os.getcwd(),  # noqa: PTH109
        "environment": {
            name: value for name, value in os.environ.items() if name.startswith("FRAMEWIRE")
        },
    }
    try:
        import torch
    except ModuleNotFoundError:
        return found
    return found | {
        "torch threads": torch.get_num_threads(),
        "torch dtype": torch.get_default_dtype(),
        "torch gradients": torch.is_grad_enabled(),
        "torch seed": torch.initial_seed(),
    }


def main(modules: list[str]) -> None:
    """Import `modules`; print what changed and which packages are not installed."""
    before = state()
    missing = []
    for name in modules:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            missing.append((error.name or name).split(".")[0])
    after = state()
    changed = [what for what in before if before[what] != after[what]]
    print(json.dumps({"changed": changed, "missing": missing}))


if __name__ == "__main__":
    main(sys.argv[1:])
