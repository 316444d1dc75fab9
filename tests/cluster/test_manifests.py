"""The manifests of examples/cluster: what Kubernetes' schemas, and the worker's own settings, say."""

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from framewire.worker.config import Config
from framewire.worker.runtime.admission import Admission
from framewire.worker.runtime.metrics import Metrics

HERE = Path(__file__).parents[2] / "examples/cluster"
MANIFESTS = sorted((HERE / "kubernetes").glob("*.yaml"))
SECRETS = {"FRAMEWIRE_SECRET": "s" * 32, "FRAMEWIRE_KEY": "k"}


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_kubernetes_would_take_it(path: Path) -> None:
    kubernetes_validate.validate(read(path), "1.30", strict=True)


def test_a_manifest_with_a_misspelt_key_would_not_pass() -> None:
    manifest = read(HERE / "kubernetes/worker.yaml")
    manifest["spec"]["replica"] = 2
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(manifest, "1.30", strict=True)


def test_a_pod_is_a_gpu_and_outlives_its_workers_drain() -> None:
    pod = read(HERE / "kubernetes/worker.yaml")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    environ = {each["name"]: each.get("value") for each in container["env"]}
    given = {name: value for name, value in environ.items() if value} | SECRETS
    config = Config.load(given, host="0.0.0.0")
    assert {name.removeprefix("FRAMEWIRE_").lower() for name in environ} <= set(config.shown())
    waits = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["terminationGracePeriodSeconds"] > waits + config.grace
    assert container["resources"]["limits"] == {"nvidia.com/gpu": 1}
    scaler = read(HERE / "kubernetes/autoscaler.yaml")["spec"]["metrics"][0]["pods"]
    assert float(scaler["target"]["averageValue"]) < config.max_sessions


def test_each_worker_of_the_compose_file_starts_with_its_settings() -> None:
    """At the addresses that haproxy.cfg names."""
    cfg = (HERE / "haproxy.cfg").read_text()
    services = read(HERE / "compose.yaml")["services"]
    del services["balancer"]
    for name, service in services.items():
        environ = {
            key: SECRETS.get(key, re.sub(r"\$\{\w+:-(.*)\}", r"\1", value))
            for key, value in service["environment"].items()
        }
        config = Config.load(environ)
        assert config.name == name and f"server {name} 127.0.0.1:{config.port}" in cfg
        assert float(service["stop_grace_period"].removesuffix("s")) > config.grace
        assert service["network_mode"] == "service:balancer"


def test_the_queries_name_metrics_that_there_are() -> None:
    metrics = Metrics()
    Admission(1, 1, metrics)
    metrics.block_made("testcard", 0.1)
    metrics.errors.labels("AT_CAPACITY").inc()
    metrics.refusals.labels("uploads").inc()
    families = text_string_to_metric_families(metrics.text().decode())
    names = {sample.name for family in families for sample in family.samples}
    asked = set(re.findall(r"framewire_\w+", (HERE / "README.md").read_text()))
    assert len(asked) >= 7 and asked <= names
    scraped = read(HERE / "prometheus.yml")["scrape_configs"][0]["static_configs"][0]["targets"]
    assert all(f" {target}" in (HERE / "haproxy.cfg").read_text() for target in scraped)
