"""How the service says no: four texts, or nothing at all.

The real service answers most "no such job" with an empty 404, errors about executions with what /
why / consequences / countermeasures, and leaves unknown paths to its framework. Clients tell these
apart, so each is a class of its own here.
"""

from __future__ import annotations

from pytest_vdkprobe.sandbox.wire import Problem


class ServiceError(Exception):
    """An answer with a status and, unless `problem` is None, the four texts."""

    def __init__(self, status: int, problem: Problem | None = None) -> None:
        super().__init__(problem.what if problem else f"status {status}, no body")
        self.status = status
        self.problem = problem


class FrameworkError(Exception):
    """An answer that the web framework gives before the service sees the call."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.status = status


def no_body(status: int) -> ServiceError:
    """A status alone: an unknown job, a name that is taken."""
    return ServiceError(status)


def problem(
    status: int,
    what: str,
    *,
    why: str,
    consequences: str = "The request was not carried out; nothing has changed.",
    countermeasures: str = "Correct the request and send it again.",
) -> ServiceError:
    """A status with the four texts."""
    return ServiceError(status, Problem(what, why, consequences, countermeasures))


def invalid(what: str, why: str) -> ServiceError:
    """400: the request contradicts itself or the service's rules."""
    return problem(400, what, why=why)


def bad_body(why: str) -> ServiceError:
    """400: the body is missing, is not JSON, or has a field of the wrong type."""
    return problem(
        400,
        "The request's JSON body can't be used.",
        why=why,
        countermeasures="Compare the body with the API's document.",
    )


def unknown_execution(execution_id: str) -> ServiceError:
    """404 with texts: executions have them where jobs have none."""
    return problem(
        404,
        f"There is no execution {execution_id}.",
        why="No execution of this id is known for the team.",
        countermeasures="List the job's executions; old ones are removed after a while.",
    )


def unknown_job(name: str) -> ServiceError:
    """404 with texts, where a call is about the executions of a job."""
    return problem(
        404,
        f"There is no data job {name} in this team.",
        why="The name or the team is wrong, or the job was deleted.",
        countermeasures="Check name and team.",
    )


def not_deployed(name: str) -> ServiceError:
    """404 with texts: the job is there, its deployment is not."""
    return problem(
        404,
        f"The data job {name} is not deployed.",
        why="No deployment of it was found.",
        countermeasures="Deploy the job, and wait until its deployment is listed.",
    )


def unavailable(what: str, why: str) -> ServiceError:
    """503: something that the service depends on (its cluster, its repository) refused."""
    return problem(503, what, why=why, countermeasures="Try again later.")


def bug(why: str) -> ServiceError:
    """500: the service did not expect this."""
    return problem(
        500,
        "The service ran into an unexpected condition.",
        why=why,
        countermeasures="Report it with the op id.",
    )
