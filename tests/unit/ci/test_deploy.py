"""The files that a watch is deployed with: valid, and of one mind with what it exports."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
import yaml

from tests.unit.docs.blocks import ROOT

DEPLOY = ROOT / "ci" / "deploy"
MANIFESTS = list(yaml.safe_load_all((DEPLOY / "watch-kubernetes.yaml").read_text()))
SERVICES: dict[str, Any] = yaml.safe_load((DEPLOY / "watch-compose.yaml").read_text())["services"]


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda found: found["kind"])
def test_kubernetes_takes_it(manifest: dict[str, Any]) -> None:
    importlib.import_module("kubernetes_validate").validate(manifest, "1.31", strict=True)


def test_one_watch_at_a_time_has_the_state() -> None:
    (deployment,) = [one for one in MANIFESTS if one["kind"] == "Deployment"]
    assert deployment["spec"]["replicas"] == 1
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}


def test_what_compose_mounts_is_there_or_is_the_users() -> None:
    users = {"platform.toml"}
    for name, service in SERVICES.items():
        for mount in service["volumes"]:
            source = str(mount).partition(":")[0]
            if source.startswith(".") and source.removeprefix("./") not in users:
                assert (DEPLOY / source).exists(), f"{name}: {source}"


def test_prometheus_scrapes_the_watch_under_the_name_that_alerts_go_by() -> None:
    scraped = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())["scrape_configs"]
    assert [(one["job_name"], one["static_configs"][0]["targets"]) for one in scraped] == [
        ("vdkprobe", ["watch:8000"])
    ]
    assert SERVICES["watch"]["ports"] == ["8000:8000"]
