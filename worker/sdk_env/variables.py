"""The variables that point fal's SDKs at a worker, as a mapping and as lines for a shell.

Pure: reads and writes nothing.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

NO_KEY = "framewire:no-key-needed"
"""What stands for a key where a worker asks for none: the SDKs refuse to start without one."""
_PROXIES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")


def variables(host: str, port: int, trusted: Path | None, key: str = NO_KEY) -> dict[str, str]:
    """The variables by name.

    Args:
        host: as in an URL.
        trusted: a file of all authorities to trust, for a worker whose certificate is its own.
        key: what the worker's mint asks for.
    """
    place = f"{host}:{port}"
    found = {"FAL_RUN_HOST": place, "FAL_QUEUE_RUN_HOST": f"{place}/queue"}
    if trusted is not None:
        found |= {"SSL_CERT_FILE": str(trusted), "NODE_EXTRA_CA_CERTS": str(trusted)}
    return found | {"FAL_KEY": key, "FAL_PROXY_URL": f"https://{place}/api/fal"}


def past_proxies(host: str, environ: Mapping[str, str]) -> dict[str, str]:
    """The variable that keeps requests to `host` from a proxy that `environ` names, if it does."""
    name = "no_proxy" if "no_proxy" in environ else "NO_PROXY"
    before = environ.get(name, "")
    passed = {one.strip() for one in before.split(",")}
    bare = host.strip("[]")
    if not any(environ.get(proxy) for proxy in _PROXIES) or passed & {bare, "*"}:
        return {}
    return {name: ",".join(filter(None, (before, bare)))}


def shell_lines(found: Mapping[str, str], written: Mapping[str, str]) -> str:
    """Lines for `eval` in a POSIX shell.

    Args:
        written: values by name that the shell works out itself, instead of those in `found`.
    """
    return "".join(
        f"export {name}={written.get(name) or shlex.quote(value)}\n"
        for name, value in found.items()
    )
