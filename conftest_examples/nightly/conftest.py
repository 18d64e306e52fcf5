"""Writes what the night has shown to a page that somebody opens in the morning."""

from pathlib import Path


def pytest_vdkprobe_report(config, report):
    lines = [f"# Night of {report['started_at'][:10]}: {report['verdict']}", ""]
    for journey in report["journeys"]:
        took_s = sum(step["duration_s"] or 0 for step in journey["steps"])
        lines.append(f"- {journey['journey']}: {journey['verdict']}, {took_s:.1f} s")
    Path("night.md").write_text("\n".join(lines) + "\n")
