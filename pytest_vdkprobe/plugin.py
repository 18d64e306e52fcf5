"""The entry point that pytest loads: options, markers, and the switch that turns the rest on.

It is imported by every pytest run on a machine that has the package, so it imports nothing but
pytest itself. Without a configuration it adds its options and stops there; with one, `activation`
loads what a run needs.
"""

from __future__ import annotations

import os

import pytest

OPTIONS = (
    (
        "config",
        {"metavar": "FILE|sandbox|env"},
        "string",
        (
            "Check the platform that FILE describes: a native .toml, or an .ini of vdk-heartbeat. "
            "'sandbox' starts a platform of your own on this machine, 'env' takes the environment "
            "variables of vdk-heartbeat or the dataplatform-probe. Without a path to tests it runs "
            "the shipped scenarios. Nothing else of this plugin does anything unless this is given."
        ),
    ),
    (
        "set",
        {"metavar": "KEY=VALUE", "action": "append"},
        "linelist",
        (
            "Override one setting of the configuration, e.g. --vdk-set control.team=blue. VALUE is "
            "read as TOML where it is TOML, else as text. May be repeated. Never a secret: those "
            "come from { env = ... }, { file = ... } or { command = ... }."
        ),
    ),
    (
        "scenarios",
        {"metavar": "NAMES"},
        "string",
        (
            "Run only these scenarios, separated by commas, e.g. heartbeat: by the names of the "
            "shipped ones and those in [scenarios] of the configuration. Default: all."
        ),
    ),
    (
        "quick",
        {"action": "store_true", "default": None},
        "bool",
        "Leave out the steps that take minutes (schedule, disable and enable, rollback).",
    ),
    (
        "plan",
        {"action": "store_true", "default": None},
        "bool",
        "Print what would be created where, and each setting with its source; touch nothing.",
    ),
    (
        "sweep",
        {"action": "store_true", "default": None},
        "bool",
        "Remove what killed runs have left behind, by their leases, and nothing else; run no test.",
    ),
    (
        "report",
        {"metavar": "FILE.json"},
        "string",
        "Write verdicts, evidence, times and settings to FILE.json, for machines.",
    ),
    (
        "watch",
        {"metavar": "DURATION", "nargs": "?", "const": "forever"},
        "string",
        (
            "Go round and round with the chosen scenarios, as [watch] in the configuration says, "
            "for DURATION (90s, 10m, 1h30m) or until stopped, and serve metrics meanwhile."
        ),
    ),
    (
        "metrics-port",
        {"metavar": "PORT"},
        "string",
        "Where a watch serves /metrics for Prometheus; 0: wherever is free. Default: 8000.",
    ),
    (
        "pushgateway",
        {"metavar": "URL"},
        "string",
        "Push the metrics to this Pushgateway: at the end of a run, or again and again in a watch.",
    ),
    (
        "metrics-file",
        {"metavar": "FILE.prom"},
        "string",
        "Write the metrics to FILE.prom, for the node exporter's textfile collector.",
    ),
    (
        "history",
        {"metavar": "URL|off"},
        "string",
        (
            "Where runs are remembered: sqlite:///FILE or postgresql://USER@HOST/DATABASE, or off. "
            "Default: a file in your state folder. An address with a password belongs into the "
            "environment."
        ),
    ),
    (
        "compare",
        {"metavar": "RUN", "nargs": "?", "const": "last"},
        "string",
        (
            "At the end, tell what is different from the last good run, or from RUN (the beginning "
            "of its id): newly failing or passing, flaky, slower or faster, changed."
        ),
    ),
    (
        "changed",
        {"action": "store_true", "default": None},
        "bool",
        (
            "Run only journeys of which something changed since they were last good: jobs, "
            "settings, code, versions; and all of them where that can't be known."
        ),
    ),
    (
        "before",
        {"metavar": "FILE.json"},
        "string",
        (
            "Before an upgrade: write what the platform consists of (versions, jobs, deployments, "
            "schedules, properties, tables, rows) to FILE.json, which must not exist yet."
        ),
    ),
    (
        "after",
        {"metavar": "FILE.json"},
        "string",
        "After an upgrade: compare the platform with FILE.json, written by --vdk-before.",
    ),
)
"""Name, how argparse takes it, how an ini file holds it, help. Each has a twin in the environment
(VDKPROBE_NAME) and in the ini file (vdk_name); command line > environment > ini."""

MARKERS = (
    (
        "vdk_journey(kind): run this module once for each name in the configuration's [[kind]], as "
        "an ordered journey of steps."
    ),
    (
        "vdk_step(needs=[...], slow=False, cleanup=False, way=None, if_set=None): a step of a "
        "journey. It "
        "runs in file order, is blocked when a step named in needs did not pass, is left out of "
        "--vdk-quick when slow, has the cleanup's time limit when cleanup, with a way is one only "
        "for routes that go it, and with if_set only where the subject's entry sets that key."
    ),
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options and their ini twins."""
    group = parser.getgroup("vdkprobe", "acceptance tests for VDK data platforms (pytest-vdkprobe)")
    for name, how, ini_type, text in OPTIONS:
        word = name.replace("-", "_")
        twins = f" [ini: vdk_{word}, environment: VDKPROBE_{word.upper()}]"
        group.addoption(f"--vdk-{name}", dest=f"vdk_{word}", help=text + twins, **how)
        default = None if ini_type == "bool" else ([] if ini_type == "linelist" else "")
        parser.addini(f"vdk_{word}", text, type=ini_type, default=default)  # type: ignore[arg-type]


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Make our hooks known, or a conftest that implements one would break a bare pytest."""
    from pytest_vdkprobe import hookspecs  # noqa: PLC0415 - not needed to add options

    pluginmanager.add_hookspecs(hookspecs)


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers; turn everything else on when there is a configuration."""
    for line in MARKERS:
        config.addinivalue_line("markers", line)
    given = config.getoption("vdk_config")
    if given == "":
        # Else a run without the variable that it names would be green and check nothing.
        raise pytest.UsageError(
            "--vdk-config names nothing.\n"
            "  Expected:  FILE, sandbox or env\n"
            "  To try:    is the variable that it comes from set?"
        )
    wanted = given or os.environ.get("VDKPROBE_CONFIG") or config.getini("vdk_config")
    if wanted and not config.getoption("help", default=False):
        from pytest_vdkprobe.activation import activate  # noqa: PLC0415 - inert unless asked

        activate(config)


def pytest_exception_interact(
    node: pytest.Item | pytest.Collector,
    call: pytest.CallInfo[object],
    report: pytest.CollectReport | pytest.TestReport,
) -> None:
    """Say of a fixture of ours that is missing what is: a configuration, or its right name."""
    wanted = getattr(call.excinfo and call.excinfo.value, "argname", None)
    if isinstance(wanted, str) and wanted.startswith("vdk_"):
        hint = f"The fixture {wanted} exists only with --vdk-config=FILE (or =sandbox to try it)."
        fixtures = node.config.pluginmanager.get_plugin("pytest_vdkprobe.fixtures")
        if fixtures is not None:
            from pytest_vdkprobe.config.nearest import did_you_mean  # noqa: PLC0415 - for this alone

            known = [name for name in vars(fixtures) if name.startswith("vdk_")]
            hint = f"There is no fixture {wanted}: {did_you_mean(wanted, known)}"
        report.sections.append(("pytest-vdkprobe", hint))
