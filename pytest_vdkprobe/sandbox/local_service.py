"""The service that endpoint tasks call where there is no other: metadata of any data set.

It answers as the dataplatform-probe's own local service does when that is in a good mood. The bad
moods are faults, planted by name and switched while it runs: `flaky` is that service's own mixture.
"""

from __future__ import annotations

from pytest_vdkprobe.sandbox.calls import Answer, Call, Table, json_answer


class LocalService:
    """Metadata and a heartbeat."""

    def table(self) -> Table:
        """Path -> method -> operation."""
        return {
            "/metadata/{id}": {"GET": self.metadata},
            "/heartbeat": {"GET": self.heartbeat},
        }

    def metadata(self, call: Call) -> Answer:
        """A data set; every id has one."""
        return json_answer({"Type": "Dataset", "Id": call.params["id"], "title": "Probe"})

    def heartbeat(self, _call: Call) -> Answer:
        """OK."""
        return Answer(200, b"OK", "text/plain")
