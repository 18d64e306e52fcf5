"""TLS from files and from texts, and what is said of what is no PEM."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
import trustme

from pytest_vdkprobe.config.secretref import SecretRef
from pytest_vdkprobe.connections.kafka import KafkaTls
from pytest_vdkprobe.connections.pem import client_context
from pytest_vdkprobe.errors import ConfigError


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ca.pem, own.pem, own.key and another.key."""
    folder = tmp_path_factory.mktemp("pem")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    own = authority.issue_cert("probe@example.org")
    own.cert_chain_pems[0].write_to_path(str(folder / "own.pem"))
    own.private_key_pem.write_to_path(str(folder / "own.key"))
    authority.issue_cert("x@example.org").private_key_pem.write_to_path(str(folder / "another.key"))
    (folder / "text").write_text("hello")
    return folder


def own(files: Path, **settings: object) -> KafkaTls:
    wanted = {
        "ca_file": str(files / "ca.pem"),
        "certificate_file": str(files / "own.pem"),
        "key_file": str(files / "own.key"),
        **settings,
    }
    return KafkaTls(**wanted)  # type: ignore[arg-type]


def test_an_authority_of_ours_is_trusted_and_no_other(files: Path) -> None:
    context = client_context(own(files))
    assert len(context.get_ca_certs()) == 1
    assert context.check_hostname


def test_names_may_go_unchecked(files: Path) -> None:
    assert not client_context(own(files, check_host=False)).check_hostname
    assert not client_context(own(files, verify=False)).check_hostname


def test_a_key_in_one_line_is_read_and_leaves_no_file(
    files: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("OWN_KEY", (files / "own.key").read_text().replace("\n", "\\n"))
    client_context(own(files, key_file=None, key=SecretRef(env="OWN_KEY")))
    assert list(tmp_path.iterdir()) == []


def test_pem_in_base64_is_read_too(files: Path, tmp_path: Path) -> None:
    for name in ("own.pem", "own.key"):
        packed = base64.encodebytes((files / name).read_bytes())
        (tmp_path / name).write_bytes(packed)
    certificate = SecretRef(file=str(tmp_path / "own.pem"))
    key = SecretRef(file=str(tmp_path / "own.key"))
    client_context(
        own(files, certificate_file=None, certificate=certificate, key_file=None, key=key)
    )


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"ca_file": "none.pem"}, r"none\.pem can't be read"),
        ({"ca_file": "text"}, "text holds no PEM"),
        ({"ca_file": "own.key"}, "TLS can't use the authority's certificate"),
        ({"key_file": "another.key"}, "TLS can't use our certificate with its key"),
    ],
    ids=["missing", "text", "key", "another"],
)
def test_what_can_t_be_used_is_named(files: Path, settings: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        client_context(own(files, **settings), base_dir=files, key="target.tls")
    assert "key target.tls." in str(caught.value)
