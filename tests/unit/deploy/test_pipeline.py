"""The pipeline's deploy examples: valid by their own schemas, and of one piece with the program.

A compose file has no validator that runs offline, so what it refers to is looked up, and every
command is read by the real command line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from pytest_vdkprobe.cli.check import overrides_of
from pytest_vdkprobe.cli.main import build_parser
from pytest_vdkprobe.jobs.template import load_template
from pytest_vdkprobe.pipeline.configuration import MOUNTED, load_pipeline

HERE = Path(__file__).resolve().parents[3] / "ci" / "deploy" / "pipeline"
MANIFESTS = sorted((HERE / "kubernetes").glob("*.yaml"))
OBJECTS = [
    pytest.param(document, id=f"{path.name}-{document['kind']}-{document['metadata']['name']}")
    for path in MANIFESTS
    for document in yaml.safe_load_all(path.read_text())
]
SINCE = "1.28"
"""The pod's index as a label is of this version of Kubernetes."""


def pods(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The specifications of pods in a manifest."""
    for key, value in document.items():
        if key == "spec" and "containers" in value:
            yield value
        elif isinstance(value, dict):
            yield from pods(value)


def secrets() -> dict[str, set[str]]:
    """The keys of each Secret."""
    return {
        document["metadata"]["name"]: {*document["stringData"]}
        for document in yaml.safe_load_all((HERE / "kubernetes" / "secrets.yaml").read_text())
    }


@pytest.mark.parametrize("document", OBJECTS)
def test_manifest_is_valid(document: dict[str, Any]) -> None:
    for version in (SINCE, "1.31", "1.34"):
        kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize("document", OBJECTS)
def test_secrets_come_as_volumes_and_nothing_runs_as_root(document: dict[str, Any]) -> None:
    for pod in pods(document):
        assert pod["securityContext"]["runAsNonRoot"]
        assert "secretKeyRef" not in json.dumps(pod)
        known = {volume["name"]: volume for volume in pod["volumes"]}
        for container in pod["containers"]:
            assert {mount["name"] for mount in container["volumeMounts"]} == known.keys()
        for volume in known.values():
            if "secret" in volume:
                assert secrets()[volume["secret"]["secretName"]] <= MOUNTED.keys()


@pytest.mark.parametrize("document", OBJECTS)
def test_commands_of_pods_are_commands_of_ours(document: dict[str, Any]) -> None:
    for pod in pods(document):
        for container in pod["containers"]:
            arguments = container["args"]
            if container.get("command", [""])[0] == "/bin/sh":
                found = re.fullmatch(r"exec \S+/vdkprobe pipeline (.*)", arguments[0])
                assert found
                arguments = found[1].replace('"$((ORDINAL + 1))"', "1").split()
            build_parser().parse_args(["pipeline", *arguments])


def test_the_mounted_configuration_and_secrets_are_read(tmp_path: Path) -> None:
    (config,) = (
        document["data"]["config.yaml"]
        for document in yaml.safe_load_all((HERE / "kubernetes" / "pipeline.yaml").read_text())
        if document["kind"] == "ConfigMap"
    )
    for name, keys in secrets().items():
        (tmp_path / name).mkdir()
        for key in keys:
            (tmp_path / name / key).write_text(f"{key} of {name}")
    file = tmp_path / "config.yaml"
    file.write_text(config)
    settings = load_pipeline(str(file), secrets=str(tmp_path), environ={}).settings
    assert settings.database.user == "username of postgres-credentials"
    assert settings.kafka.tls is not None
    assert settings.kafka.tls.certificate is not None


def test_the_user_of_producers_and_consumers_is_made(tmp_path: Path) -> None:
    documents = {
        document["metadata"]["name"]: document
        for path in MANIFESTS
        for document in yaml.safe_load_all(path.read_text())
    }
    (pod,) = pods(documents["website-configure"])
    (container,) = pod["containers"]
    for folder in secrets():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "username").write_text("owner")
    file = tmp_path / "config.yaml"
    file.write_text(documents["website-availability"]["data"]["config.yaml"])
    given = build_parser().parse_args(["pipeline", *container["args"]]).overrides
    role = load_pipeline(
        str(file),
        secrets=str(tmp_path),
        overrides=overrides_of(given, option="--set"),
        environ={},
    ).settings.role
    assert role is not None
    assert role.name == documents["postgres-credentials"]["stringData"]["username"]
    assert role.password is not None
    (mount,) = (
        mount["name"]
        for mount in container["volumeMounts"]
        if role.password.file == f"{mount['mountPath']}/password"
    )
    assert {
        "name": mount,
        "secret": {"secretName": "postgres-credentials", "defaultMode": 288},
    } in (pod["volumes"])


COMPOSE = yaml.safe_load((HERE / "docker" / "compose.yaml").read_text())


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_a_service_refers_to_what_is_there(name: str) -> None:
    service = COMPOSE["services"][name]
    assert ":" in service["image"] or service["image"] == "vdkprobe-pipeline"
    assert {*service.get("secrets", ())} <= COMPOSE["secrets"].keys()
    for other, how in service.get("depends_on", {}).items():
        on = COMPOSE["services"][other]
        assert how["condition"] in ("service_healthy", "service_completed_successfully")
        assert how["condition"] != "service_healthy" or "healthcheck" in on
    for volume in service.get("volumes", ()):
        source = volume.partition(":")[0]
        assert source in COMPOSE["volumes"] or (HERE / "docker" / source).is_file(), volume
    assert not re.search(r"PASSWORD(?!_FILE)", json.dumps(service.get("environment", {})))
    if service["image"] == "vdkprobe-pipeline":
        build_parser().parse_args(["pipeline", *service["command"]])


@pytest.mark.parametrize("path", sorted(HERE.glob("*/*.toml")), ids=lambda path: path.name)
def test_configurations_of_containers_are_read(path: Path) -> None:
    assert load_pipeline(str(path), environ={}).settings.database.database == "monitoring"


@pytest.mark.parametrize(
    "path", sorted((HERE / "docker").glob("Dockerfile*")), ids=lambda path: path.name
)
def test_images_start_commands_of_ours(path: Path) -> None:
    entry: list[str] = []
    default: list[str] = []
    for line in path.read_text().splitlines():
        word, _, rest = line.partition(" ")
        if not line or word == "#":
            continue
        assert word in {"FROM", "COPY", "RUN", "USER", "ENTRYPOINT", "CMD"}, line
        if word == "ENTRYPOINT":
            entry = json.loads(rest)
        if word == "CMD":
            default = json.loads(rest)
    assert entry[:2] == ["/opt/vdkprobe/bin/vdkprobe", "pipeline"]
    if default != ["--help"]:
        build_parser().parse_args([*entry[1:], *default])


@pytest.mark.parametrize("name", ["website-checks", "website-rows"])
def test_jobs_are_data_jobs(name: str) -> None:
    folder = HERE / "jobs" / name
    template = load_template(str(folder), base_dir=folder)
    assert template.warnings == ()
    assert load_pipeline(str(folder / "pipeline.toml"), environ={}).settings.kafka.servers
    (step,) = folder.glob("*.py")
    compile(step.read_text(), str(step), "exec")
