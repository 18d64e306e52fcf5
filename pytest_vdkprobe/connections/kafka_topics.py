"""Topics and groups that a route makes for itself, and proves gone afterwards.

Each has a lease before it exists. What was there before is used and left: only who created removes.
A broker confirms a create or delete before its own metadata shows it, so both are waited for.
"""

from __future__ import annotations

import re
from contextlib import closing
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec

from pytest_vdkprobe.connections.kafka import KafkaClients, KafkaConnection, driver
from pytest_vdkprobe.errors import ConfigError, LoginError, PlatformFailure, ProbeError
from pytest_vdkprobe.waiting import Deadline, wait_until

if TYPE_CHECKING:
    from kafka.admin import KafkaAdminClient

    from pytest_vdkprobe.leases import Lease, LeaseStore

_NAME = re.compile(r"[A-Za-z0-9._-]{1,249}")
TOPIC_ID = "topic_id"
"""In a lease's `where`: the id that the brokers gave the topic, so that no namesake is deleted."""
LIMIT_S = 30.0
"""How long a topic or group may take to appear or to go."""
LONGEST_POLL_S = 0.5
LIMIT_MS = int(LIMIT_S * 1000)
READY = "ready"
NAMESAKE = "a namesake"
TOPIC = "topic"
"""In the lease of a group: which topic it reads."""
LARGEST_BYTES = 16 * 1024 * 1024
"""Above any message of ours: how large is too large is the broker's to say."""


def _roomy() -> dict[str, str]:
    return {"max.message.bytes": str(LARGEST_BYTES)}


class TopicSettings(KafkaConnection, frozen=True, kw_only=True):
    """A topic, and what it shall be like if it has to be created."""

    topic: str
    create: bool = False
    """Whether a missing topic may be created; it is removed after the run."""
    partitions: int = 3
    replication: int = -1
    """Copies of each partition of a created topic; -1: as many as the brokers' default."""
    topic_settings: dict[str, str] = msgspec.field(default_factory=_roomy)
    """Of a created topic, by Kafka's own names. The default lets records of megabytes pass."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not _NAME.fullmatch(self.topic) or self.topic in {".", ".."}:
            raise ValueError("topic: has 1 to 249 letters, digits, dots, dashes and underscores")
        if self.partitions < 1:
            raise ValueError("partitions: must be at least 1")


class OwnTopic:
    """One topic: found, or created where that is allowed, and then removed by us."""

    def __init__(
        self,
        clients: KafkaClients,
        settings: TopicSettings,
        *,
        leases: LeaseStore | None,
        key: str,
    ) -> None:
        self._clients = clients
        self._settings = settings
        self._topic = settings.topic
        self._leases = leases
        self._key = key
        self._lease: Lease | None = None
        self._created = False

    def ensure(self) -> None:
        """Return when every partition of the topic has a leader.

        Raises ConfigError for one that is missing and may not be created, LoginError when the
        brokers don't let us, WaitFailure when it does not become ready.
        """
        admin = self._clients.admin()
        try:
            if not _state(admin, self._topic):
                if not self._settings.create:
                    raise ConfigError(
                        f"Kafka has no topic {self._topic}.",
                        key=f"{self._key}.topic",
                        value=self._topic,
                        to_try="check its name, or let it be created: create = true",
                    )
                self._create(admin)
            wait_until(
                f"topic {self._topic}",
                lambda: _state(admin, self._topic),
                done=lambda state: state == READY,
                deadline=Deadline.after(LIMIT_S, "the time for a topic to be ready"),
                describe=lambda state: state or "not there",
                longest_pause_s=LONGEST_POLL_S,
                expected="a leader for every partition",
                checked=self._clients.connection.place,
            )
        finally:
            admin.close()

    def _create(self, admin: KafkaAdminClient) -> None:
        errors = driver().errors
        place = self._clients.connection.place
        if self._leases is not None:
            self._lease = self._leases.take("topic", self._topic, where={"kafka": place})
        wanted = {
            self._topic: {
                "num_partitions": self._settings.partitions,
                "replication_factor": self._settings.replication,
                "configs": self._settings.topic_settings,
            }
        }
        self._created = True
        try:
            made = admin.create_topics(wanted, timeout_ms=LIMIT_MS)["topics"][0]
            if self._lease is not None and (topic_id := made.get("topic_id")) is not None:
                self._lease.add(**{TOPIC_ID: str(topic_id)})
        except errors.TopicAlreadyExistsError:
            # Somebody was quicker: it is theirs.
            self._forget()
        except errors.KafkaError as exc:
            if isinstance(exc, errors.BrokerResponseError) and not isinstance(
                exc, errors.RequestTimedOutError
            ):
                # The broker's own no. After a cut line nobody knows, and it is removed later.
                self._forget()
            raise refused(f"The topic {self._topic} can't be created", exc, place) from exc

    def remove(self) -> None:
        """Delete what `ensure` created, see it gone, release its lease. May be called again."""
        if self._created:
            told = self._lease.where if self._lease is not None else {}
            remove_topic(self._clients, self._topic, topic_id=told.get(TOPIC_ID))
            self._forget()

    def _forget(self) -> None:
        self._created = False
        if self._lease is not None:
            self._lease.release()
            self._lease = None


class OwnGroup:
    """One consumer group: used, and removed by us if it was not there before."""

    def __init__(
        self, clients: KafkaClients, group: str, *, topic: str, leases: LeaseStore | None
    ) -> None:
        self._clients = clients
        self._group = group
        self._topic = topic
        self._leases = leases
        self._lease: Lease | None = None
        self._ours = False

    def claim(self) -> None:
        """Note whether joining will create it, with a lease if so."""
        errors = driver().errors
        admin = self._clients.admin()
        place = self._clients.connection.place
        try:
            known = {str(each["group_id"]) for each in admin.list_groups()}
        except errors.KafkaError as exc:
            raise refused("The groups can't be listed", exc, place) from exc
        finally:
            admin.close()
        if self._group in known:
            return
        if self._leases is not None:
            where = {"kafka": place, TOPIC: self._topic}
            self._lease = self._leases.take("group", self._group, where=where)
        self._ours = True

    def remove(self) -> None:
        """Delete the group if `claim` found it new, see it gone, release its lease."""
        if self._ours:
            remove_group(self._clients, self._group)
            self._ours = False
        if self._lease is not None:
            self._lease.release()
            self._lease = None


def remove_topic(clients: KafkaClients, topic: str, *, topic_id: str | None = None) -> bool:
    """Delete a topic, the one with this id if that is given, and return when it is gone.

    One that is not there is gone already; False where another has its name by now, which is left.
    Raises WaitFailure when it stays, ProbeError when it may not be deleted.
    """
    errors = driver().errors
    admin = clients.admin()
    gone = (errors.UnknownTopicOrPartitionError, errors.UnknownTopicIdError)

    try:
        try:
            admin.delete_topics([UUID(topic_id) if topic_id else topic], timeout_ms=LIMIT_MS)
        except gone:
            pass
        except errors.KafkaError as exc:
            place = clients.connection.place
            raise refused(f"The topic {topic} can't be deleted", exc, place) from exc
        left = wait_until(
            f"topic {topic} gone",
            lambda: _state(admin, topic, topic_id),
            done=lambda state: state in ("", NAMESAKE),
            deadline=Deadline.after(LIMIT_S, "the time for a topic to go"),
            describe=lambda state: state or "gone",
            longest_pause_s=LONGEST_POLL_S,
            checked=clients.connection.place,
        )
        return left.value != NAMESAKE
    finally:
        admin.close()


def remove_group(clients: KafkaClients, group: str) -> None:
    """Delete a consumer group and return when it is gone; one that is not there is gone already.

    Raises WaitFailure when it stays, say because it has members.
    """
    errors = driver().errors
    admin = clients.admin()
    place = clients.connection.place
    try:
        wait_until(
            f"group {group} gone",
            # A group that is gone is told from one that can't go by this name of an error.
            lambda: _delete_group(admin, group),
            done=lambda answer: answer == errors.GroupIdNotFoundError.__name__,
            deadline=Deadline.after(LIMIT_S, "the time for a group to go"),
            describe=str,
            longest_pause_s=LONGEST_POLL_S,
            checked=place,
        )
    except errors.KafkaError as exc:
        raise refused(f"The group {group} can't be deleted", exc, place) from exc
    finally:
        admin.close()


def _delete_group(admin: KafkaAdminClient, group: str) -> str:
    """What became of it; brokers that never had a group first have to make room for groups."""
    try:
        return str(admin.delete_groups([group]).get(group))
    except driver().errors.CoordinatorNotAvailableError as exc:
        return type(exc).__name__


def remove_leased(clients: KafkaClients, lease: Lease) -> bool:
    """Delete the topic or group that a lease names, if it is that one; return when it is gone.

    False where it may be a namesake, which is left. A name with the run's id in it is nobody
    else's. Of another name a topic is told by its id, and a group by the one topic that it reads.
    """
    own_name = lease.run_id in lease.name
    if lease.kind == "topic":
        topic_id = lease.where.get(TOPIC_ID)
        if topic_id is None and not own_name:
            # Its run was killed as it created it, or just before.
            with closing(clients.admin()) as admin:
                return not _state(admin, lease.name)
        return remove_topic(clients, lease.name, topic_id=topic_id)
    if not own_name and not _read_topics(clients, lease.name) <= {lease.where.get(TOPIC)}:
        return False
    remove_group(clients, lease.name)
    return True


def _read_topics(clients: KafkaClients, group: str) -> set[str]:
    """The topics in which a group has a position."""
    errors = driver().errors
    try:
        with closing(clients.admin()) as admin:
            return {str(each.topic) for each in admin.list_group_offsets(group).get(group, ())}
    except errors.GroupIdNotFoundError:
        return set()
    except errors.KafkaError as exc:
        place = clients.connection.place
        raise refused(f"The group {group} can't be looked at", exc, place) from exc


def _state(admin: KafkaAdminClient, topic: str, topic_id: str | None = None) -> str:
    """`ready`, what it still lacks, or nothing for a topic that is not there.

    `a namesake` for one with another id than `topic_id`.
    """
    errors = driver().errors
    found = [each for each in admin.describe_topics([topic]) if each.get("name") == topic]
    error = (
        errors.for_code(found[0]["error_code"]) if found else errors.UnknownTopicOrPartitionError
    )
    if error is errors.UnknownTopicOrPartitionError:
        return ""
    if error is not errors.NoError:
        if issubclass(error, errors.AuthorizationError):
            raise refused(f"The topic {topic} can't be looked at", error(), "")
        return str(error.__name__)
    if topic_id is not None and str(found[0]["topic_id"]) != topic_id:
        return NAMESAKE
    partitions = found[0]["partitions"]
    leaderless = [each["partition_index"] for each in partitions if each["leader_id"] < 0]
    if not partitions or leaderless:
        return f"no leader for partitions {leaderless}" if leaderless else "no partitions"
    return READY


def refused(what: str, exc: Exception, place: str) -> ProbeError | PlatformFailure:
    """The finding for a broker's no to something that we asked of it outside of a measurement."""
    errors = driver().errors
    seen = str(exc) or type(exc).__name__
    if isinstance(exc, errors.AuthorizationError):
        return LoginError(
            f"{what}: our user may not.",
            seen=seen,
            checked=place,
            to_try="let the brokers' administrator allow it (ACL), or use what exists already",
        )
    if isinstance(exc, errors.BrokerResponseError):
        return ProbeError(f"{what}: {seen}.", checked=place, to_try="see the settings of the topic")
    return PlatformFailure(f"{what}: the brokers stopped answering.", seen=seen, checked=place)
