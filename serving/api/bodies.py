"""Types that bodies and answers of several routers share."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, StringConstraints

from serving.users.models import NAME_MAX
from serving.users.passwords import PASSWORD_MAX

UserName = Annotated[
    str,
    StringConstraints(pattern=rf"^[a-z0-9][a-z0-9._@-]{{0,{NAME_MAX - 1}}}$", max_length=NAME_MAX),
]


def _encodable(secret: SecretStr) -> SecretStr:
    """JSON can say half a character, which no text has and nothing can hash."""
    try:
        secret.get_secret_value().encode()
    except UnicodeEncodeError:
        # From none: its cause has the character.
        raise ValueError("must be Unicode text, without lone surrogates") from None
    return secret


# Hidden wherever it is printed; no value of it is in an error.
Password = Annotated[SecretStr, Field(max_length=PASSWORD_MAX), AfterValidator(_encodable)]
Token = Annotated[SecretStr, Field(max_length=200), AfterValidator(_encodable)]
Code = Annotated[SecretStr, Field(max_length=40), AfterValidator(_encodable)]
# Of names that people give; NUL is what PostgreSQL cannot store.
Label = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f]+$")]
Account = Annotated[
    str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")
]


class Body(BaseModel):
    """What a request brings: nothing but the declared fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Done(BaseModel):
    """The answer where there is nothing else to say."""

    status: str = "done"
