"""The variables that point SDKs at a worker, and how a shell reads them."""

import subprocess
from pathlib import Path

from framewire.worker.sdk_env.variables import NO_KEY, past_proxies, shell_lines, variables


def test_a_worker_with_a_certificate_of_its_own_is_named_and_trusted() -> None:
    assert variables("h", 8000, Path("/t.pem"), "k") == {
        "FAL_RUN_HOST": "h:8000",
        "FAL_QUEUE_RUN_HOST": "h:8000/queue",
        "SSL_CERT_FILE": "/t.pem",
        "NODE_EXTRA_CA_CERTS": "/t.pem",
        "FAL_KEY": "k",
        "FAL_PROXY_URL": "https://h:8000/api/fal",
    }


def test_without_one_what_programs_trust_is_left_alone() -> None:
    assert "SSL_CERT_FILE" not in variables("h", 1, None)
    assert variables("h", 1, None)["FAL_KEY"] == NO_KEY


def test_the_lines_mean_in_a_shell_what_the_mapping_says() -> None:
    """Whatever a path has in it, nothing of it is run."""
    values = {"A": 'it\'s $(touch /x) `y` \\ "z" # no', "B": "hidden", "C": ""}
    lines = shell_lines(values, {"B": '"$SECRET"'})
    script = f'eval {chr(34)}$LINES{chr(34)}; printf \'%s|%s|%s\' "$A" "$B" "$C"'
    done = subprocess.run(
        ["/bin/sh", "-c", script],
        env={"LINES": lines, "SECRET": "a b"},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout == f"{values['A']}|a b|"
    assert "hidden" not in lines


def test_requests_go_past_a_proxy_only_where_there_is_one() -> None:
    proxy = {"HTTPS_PROXY": "http://proxy:1"}
    assert past_proxies("127.0.0.1", {}) == {}
    assert past_proxies("127.0.0.1", proxy) == {"NO_PROXY": "127.0.0.1"}
    assert past_proxies("[::1]", proxy | {"no_proxy": "a,b"}) == {"no_proxy": "a,b,::1"}
    assert past_proxies("h", proxy | {"NO_PROXY": "a, h"}) == {}
    assert past_proxies("h", proxy | {"NO_PROXY": "*"}) == {}
