"""The metrics as a contract: every name that is ever exported, with its type, labels and meaning.

What records, what renders, the documentation, the dashboards and the alert rules are all held
against this one list. No label takes a value that is not in the configuration: no run id, no
error's text, nothing that grows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from pytest_vdkprobe.errors import ProbeError

Kind = Literal["counter", "gauge", "age", "flights", "histogram"]
"""`age` is a gauge that is recorded as a moment, and `flights` one that is worked out of all that
is under way; both are computed when they are asked for, so that silence is seen."""

JUDGED = ("pass", "fail", "error", "unknown")
"""The verdicts that a round of a check can have."""
CAUSES = ("login", "transport", "configuration", "other")
"""Why a check could not judge."""


class Family(NamedTuple):
    """One metric, whatever its labels are set to."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str
    values: Mapping[str, tuple[str, ...]] = {}
    """What a label can be, where that is known here: those series exist from the start."""

    @property
    def type(self) -> str:
        """What Prometheus calls it."""
        return self.kind if self.kind in ("counter", "histogram") else "gauge"


_CHECK = ("check",)
_SCENARIO = ("scenario",)
_APP = ("app_id",)


def _of(
    labels: tuple[str, ...], kind: Kind, texts: Mapping[str, str], prefix: str
) -> tuple[Family, ...]:
    return tuple(Family(prefix + name, kind, labels, text) for name, text in texts.items())


EVENTS = (
    *_of(
        _CHECK,
        "counter",
        {
            "sent_total": "Events whose sending was begun, whatever came of it.",
            "delivered_total": "Events that came out within the SLA.",
            "late_total": "Events that came out after the SLA, before they were given up.",
            "lost_total": "Events acknowledged and not seen when their last window closed.",
            "refused_total": "Events that the pipeline refused to take, and that did not come out.",
            "unknown_total": "Events not seen of which nothing can be said: no answer to their "
            "sending, or nobody to listen (a restart, a refused login).",
            "duplicate_total": "Further arrivals of events that had come out already.",
            "reordered_total": "Events that came out after one that was sent later.",
            "corrupted_total": "Events that came out changed; delivered or late as well.",
            "foreign_total": "Events that came out and are nobody's that this probe sent.",
            "missed_slots_total": "Events never sent: too many were being sent still, or the disk "
            "was full and none could be noted.",
        },
        "vdkprobe_events_",
    ),
    *_of(
        _CHECK,
        "flights",
        {
            "events_in_flight": "Events sent and neither seen nor given up.",
            "events_overdue": "Of those in flight, how many are beyond the SLA: lost so far.",
            "oldest_in_flight_seconds": "Age of the oldest event in flight; 0 when there is none.",
            "sla_seconds": "Within this an event has to come out.",
            "events_last_arrival_timestamp_seconds": "When an event last came out, in seconds "
            "since 1970; 0: never.",
        },
        "vdkprobe_",
    ),
    *_of(
        _CHECK,
        "histogram",
        {
            "ack_latency_seconds": "From an event's intended sending to its acknowledgement.",
            "delivery_latency_seconds": "From an event's intended sending to its arrival.",
        },
        "vdkprobe_",
    ),
)
TASKS = (
    *_of(
        _CHECK,
        "counter",
        {
            "created_total": "Requests begun.",
            "succeeded_total": "Requests whose answer met every condition.",
            "failed_total": "Requests that were not answered, or not as they have to be.",
            "dismissed_total": "Requests given up because nothing had come of them in time.",
            "missed_slots_total": "Requests never begun: the probe was not there in time.",
        },
        "vdkprobe_tasks_",
    ),
    Family("vdkprobe_tasks_tracked", "gauge", _CHECK, "Requests in the backlog."),
    Family(
        "vdkprobe_oldest_task_seconds",
        "age",
        _CHECK,
        "Age of the oldest request without an answer; 0 when there is none.",
    ),
    Family(
        "vdkprobe_tasks_last_success_timestamp_seconds",
        "gauge",
        _CHECK,
        "When a request last succeeded, in seconds since 1970; 0: never.",
    ),
    Family(
        "vdkprobe_task_duration_seconds",
        "histogram",
        _CHECK,
        "How long requests took, those that failed as well.",
    ),
)
ROUNDS = (
    Family(
        "vdkprobe_run_total",
        "counter",
        ("check", "verdict"),
        "Rounds of a check by their verdict.",
        {"verdict": JUDGED},
    ),
    Family(
        "vdkprobe_errors_total",
        "counter",
        ("check", "cause"),
        "Steps that could not judge, by what kept them from it.",
        {"cause": CAUSES},
    ),
    Family(
        "vdkprobe_last_success_timestamp_seconds",
        "gauge",
        _CHECK,
        "When a round last passed, in seconds since 1970; 0: never.",
    ),
    Family(
        "vdkprobe_last_run_timestamp_seconds",
        "gauge",
        _CHECK,
        "When a round last ended, in seconds since 1970; 0: never.",
    ),
    Family(
        "vdkprobe_step_duration_seconds",
        "histogram",
        ("check", "step"),
        "How long the steps of a check took.",
    ),
)
WATCH = (
    Family(
        "vdkprobe_interval_seconds",
        "gauge",
        _SCENARIO,
        "From the beginning of one round to the next.",
    ),
    Family(
        "vdkprobe_slots_missed_total",
        "counter",
        _SCENARIO,
        "Rounds left out because the one before had not ended, or nothing was there to run it.",
    ),
    Family(
        "vdkprobe_round_running_seconds",
        "age",
        _SCENARIO,
        "How long the round under way has been running; 0 when there is none.",
    ),
    Family(
        "vdkprobe_child_restarts_total",
        "counter",
        _SCENARIO,
        "How often the process that runs the scenario died and was started again.",
    ),
    Family(
        "vdkprobe_reloads_total",
        "counter",
        ("outcome",),
        "Configurations read again while the watch went on.",
        {"outcome": ("accepted", "refused")},
    ),
    Family(
        "vdkprobe_notices_failed_total",
        "counter",
        ("to",),
        "Calls of an outside monitor, and exports of metrics, that did not get through.",
        {"to": ("ping", "pushgateway", "file", "hook")},
    ),
)
SEEDS = (
    *_of(
        _APP,
        "counter",
        {
            "events_posted_total": "Events posted to the pipeline.",
            "event_post_errors_total": "Errors when posting events.",
            "events_received_total": "Events received from the pipeline, each counted once.",
            "events_lost_total": "Events not received when they were dismissed.",
            "events_duplicates_total": "Events received again.",
            "wrong_appid_total": "Events received that another instance posted.",
            "tasks_created_total": "Tasks created.",
            "tasks_succeeded_total": "Tasks that succeeded.",
            "tasks_failed_total": "Tasks that failed.",
            "requests_created_total": "As probe_tasks_created_total.",
            "requests_succeeded_total": "As probe_tasks_succeeded_total.",
            "requests_failed_total": "As probe_tasks_failed_total.",
        },
        "probe_",
    ),
    *_of(
        _APP,
        "gauge",
        {
            "task_duration": "Seconds that the last succeeded task took.",
            "request_duration": "As probe_task_duration.",
            "event_listeners_count": "Listeners that are configured.",
            "event_listeners_connected_count": "Listeners that are connected.",
        },
        "probe_",
    ),
    *_of(
        _APP,
        "flights",
        {
            "event_latency": "Seconds that the last event took, or the age of the oldest in "
            "flight where that is more.",
            "events_missing_1m_share": "Of the events due in the last minute, the share missing.",
            "events_missing_10m_share": "The same of the last ten minutes.",
            "events_missing_1h_share": "The same of the last hour.",
        },
        "probe_",
    ),
)
"""The seeds' names, with the label they had."""

CATALOGUE: Mapping[str, Family] = {
    family.name: family for family in (*EVENTS, *TASKS, *ROUNDS, *WATCH, *SEEDS)
}


def find(name: str) -> Family:
    """The family called `name`, a counter also without `_total`, as the seeds' pages write them.

    Raises ProbeError for a metric that is not in the contract.
    """
    found = CATALOGUE.get(name) or CATALOGUE.get(name + "_total")
    if found is None:
        raise ProbeError(
            f"There is no metric {name}.", to_try="add it to metrics/catalogue.py, with its meaning"
        )
    return found
