"""The page of metrics is the catalogue: each name with its type and labels, and no other."""

from __future__ import annotations

import re

from pytest_vdkprobe.metrics.catalogue import CATALOGUE, SEEDS
from tests.unit.docs.blocks import ROOT

PAGE = (ROOT / "docs" / "reference" / "metrics.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if re.match(r"\| `v?d?k?probe_", line)
]


def test_every_metric_stands_there_with_its_type_and_labels() -> None:
    told = {row[0].strip("`"): (row[1], row[2]) for row in ROWS if not row[1].startswith("`")}
    ours = {
        family.name: (family.type, ", ".join(f"`{label}`" for label in family.labels))
        for family in CATALOGUE.values()
        if family not in SEEDS
    }
    assert told == ours


def test_every_seeds_name_is_mapped_to_what_is_exported() -> None:
    told = {row[1].strip("`"): (row[0].strip("`"), row[2]) for row in ROWS if "`" in row[1]}
    seeds = {family.name: (family.name.removesuffix("_total"), family.type) for family in SEEDS}
    assert told == seeds


def test_every_help_says_something() -> None:
    assert all(len(row[-1]) > 10 for row in ROWS)
