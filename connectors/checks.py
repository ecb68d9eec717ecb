"""A check of an audit: two counts that must be equal, with the terms they are made of."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Check:
    """Two counts that must be equal.

    Parameters
    ----------
    subject : str
        Flow and input, topic, or sink.
    claim : str
        What is equal to what, such as ``read = used + late + held``.
    left, right : int
        The two counts.
    terms : dict of str to int
        The terms of the claim.
    detail : str
        Where the counts first differ, if that is known.
    """

    subject: str
    claim: str
    left: int
    right: int
    terms: dict[str, int]
    detail: str = ""

    @property
    def ok(self) -> bool:
        """Whether the counts are equal, in sum and in every part."""
        return self.left == self.right and not self.detail
