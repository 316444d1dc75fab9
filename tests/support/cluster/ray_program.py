"""A Ray cluster of this machine and the worker on it, told what to do by lines of JSON.

Run as a program: a line is what `serve deploy` would be given of the deployment and of settings
(`FRAMEWIRE_*`), or an empty map, which only asks. Each is answered by a line: the replicas' ids,
states and processes. It ends with its input.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import ray
from ray import serve
from ray.serve.context import _get_global_client
from ray.serve.schema import ServeDeploySchema


def main(folder: Path, port: int) -> None:
    said = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what Ray prints is for the log
    ray.init(
        num_cpus=8,
        include_dashboard=False,
        object_store_memory=100_000_000,
        _node_ip_address="127.0.0.1",
        _temp_dir=str(folder),
        log_to_driver=True,
    )
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    controller: Any = _get_global_client()
    for line in sys.stdin:
        asked = json.loads(line)
        if asked:
            app = {
                "name": "framewire",
                "route_prefix": "/",
                "import_path": "framewire.worker.on_ray.app:app",
                "runtime_env": {"env_vars": asked["settings"]},
                "deployments": [{"name": "framewire", **asked["deployment"]}],
            }
            config = ServeDeploySchema.model_validate({"applications": [app]})
            controller.deploy_apps(config, _blocking=True)
        apps = controller.get_serve_details()["applications"]
        replicas = [
            {name: _words(replica.get(name)) for name in _ABOUT}
            for app_ in apps.values()
            for deployment in app_["deployments"].values()
            for replica in deployment["replicas"]
        ]
        print(json.dumps(replicas), file=said, flush=True)
    end: Any = serve.shutdown  # neither has types
    end()
    shutdown: Any = ray.shutdown
    shutdown()


def _words(value: object) -> str:
    """A state's name, or whatever else; not all is known of a replica that begins."""
    return str(getattr(value, "value", value))


_ABOUT = ("replica_id", "state", "pid")

if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
