"""A query's errors, in the structures of the real service's Java library.

Clients only look at `errors` being there, but a report shows what is in it, so the parts are the
same: where in the query, which field, which kind.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pytest_vdkprobe.sandbox.executor import JSONObject


class QueryError(ValueError):
    """The query asks for something that the service refuses while it fetches."""


class FilterError(QueryError):
    """The filter names what can't be filtered by."""


def _locations(error: Any) -> list[JSONObject]:
    return [
        {"line": one.line, "column": one.column, "sourceName": None}
        for one in error.locations or []
    ]


def syntax_error(error: Any, query: str) -> JSONObject:
    return {
        "message": f"Invalid Syntax : {error.message}",
        "sourcePreview": f"{query}\n",
        "offendingToken": "<EOF>",
        "locations": _locations(error),
        "errorType": "InvalidSyntax",
        "path": None,
        "extensions": None,
    }


def query_error(error: Any) -> JSONObject:
    """An error of a query that parses: a field that is not there, or a fetch that failed."""
    if error.path is None:
        return {
            "message": f"Validation error of type FieldUndefined: {error.message}",
            "locations": _locations(error),
            "description": error.message,
            "validationErrorType": "FieldUndefined",
            "queryPath": _path_to(error),
            "extensions": None,
            "errorType": "ValidationError",
            "path": None,
        }
    exception: JSONObject = {"cause": None, "stackTrace": []}
    if isinstance(error.original_error, FilterError):
        exception |= {
            "locations": None,
            "extensions": None,
            "path": None,
            "errorType": "DataFetchingException",
        }
    exception |= {
        "message": error.message,
        "suppressed": [],
        "localizedMessage": error.message,
    }
    return {
        "message": f"Exception while fetching data (/{error.path[0]}) : {error.message}",
        "path": list(error.path),
        "exception": exception,
        "locations": _locations(error),
        "extensions": None,
        "errorType": "DataFetchingException",
    }


def _path_to(error: Any) -> list[str]:
    """The names of the fields around the offending one, found by their places in the query."""
    from graphql import parse  # noqa: PLC0415 - takes 100 ms, and only errors come here

    if error.source is None or not error.positions:
        return []
    names: list[str] = []
    nodes: Iterable[Any] = parse(error.source.body).definitions
    while around := [one for one in nodes if one.loc.start <= error.positions[0] < one.loc.end]:
        names += [one.name.value for one in around if getattr(one, "name", None)]
        chosen = getattr(around[0], "selection_set", None)
        nodes = chosen.selections if chosen else ()
    return names
