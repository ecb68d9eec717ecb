"""What users and their sessions can be refused."""


class UsersError(Exception):
    """What cannot be done with users, sessions or keys, and why; says no secret.

    Parameters
    ----------
    status : int
        HTTP status that says the same.
    kind : str
        Short name, for programs.
    detail : str
        For people.
    retry_after_s : int or None
        When it may be tried again.
    """

    def __init__(
        self, status: int, kind: str, detail: str, *, retry_after_s: int | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.detail = detail
        self.retry_after_s = retry_after_s


def not_signed_in(detail: str) -> UsersError:
    """401: nobody, or nobody any more."""
    return UsersError(401, "credentials", detail)


def no_user(name: str) -> UsersError:
    """404: no such user."""
    return UsersError(404, "no-user", f"there is no user {name!r}")
