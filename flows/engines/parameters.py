"""Parameters as a replay will read them: from canonical JSON, tables in order of their keys."""

from collections.abc import Mapping
from typing import TypeVar

import orjson
from pydantic import ValidationError

from flows.flow import Flow, FlowError, Params

P = TypeVar("P", bound=Params)


def canonical_json(params: Params) -> bytes:
    """All parameters as JSON, tables in order of their keys: equal ones give equal bytes."""
    return orjson.dumps(params.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS)


def canonical(params: P) -> P:
    """The same parameters as a progress record gives them back.

    A flow must not see in which order a table was written in a settings file: the record does not hold it.
    """
    return type(params).model_validate(orjson.loads(canonical_json(params)))


def recorded(kind: type[Flow], params: Mapping[str, object]) -> Params:
    """The parameters of an epoch, as its progress records hold them.

    Raises
    ------
    FlowError
        Where the installed flow does not take them.
    """
    try:
        return kind.params_type(**params)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()
        )
        raise FlowError(
            f"flow {kind.name!r}: the parameters that it ran with are none that the installed version "
            f"{kind.version} takes ({wrong}); install what computed them, or say with --params what it is to "
            "be computed with"
        ) from error
