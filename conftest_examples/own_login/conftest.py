"""A login scheme: a broker hands out access tokens for a ticket."""

import json

import msgspec

from pytest_vdkprobe.api import ProbeError, Secret, SecretRef


class BrokerSettings(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="broker"
):
    """`auth = { kind = "broker", url = "...", ticket = { env = "..." } }`"""

    url: str
    ticket: SecretRef


class Broker:
    kind = "broker"
    settings = BrokerSettings

    def __init__(self, settings, resolve):
        self.url = settings.url
        self.ticket = resolve(settings.ticket, "control.auth.ticket")
        self.header = None

    def authorize(self, post):
        if self.header is None:
            fields = {"grant_type": "refresh_token", "refresh_token": self.ticket}
            answer = post(self.url, fields, {})
            if answer.status != 200:
                raise ProbeError("The broker takes no ticket.", seen=f"status {answer.status}")
            token = json.loads(answer.body)["access_token"]
            self.header = Secret(f"Bearer {token}", "the broker")
        return {"Authorization": self.header}

    def refresh(self):
        self.header = None
        return True


def pytest_vdkprobe_register(config, kinds):
    kinds.auth("broker", Broker)
