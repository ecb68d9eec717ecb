"""Parameters as a replay will read them: from canonical JSON, tables in order of their keys."""

from typing import TypeVar

import orjson

from flows.flow import Params

P = TypeVar("P", bound=Params)


def canonical_json(params: Params) -> bytes:
    """All parameters as JSON, tables in order of their keys: equal ones give equal bytes."""
    return orjson.dumps(params.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS)


def canonical(params: P) -> P:
    """The same parameters as a progress record gives them back.

    A flow must not see in which order a table was written in a settings file: the record does not hold it.
    """
    return type(params).model_validate(orjson.loads(canonical_json(params)))
