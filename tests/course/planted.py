"""A wrong answer that a student might hand in, and what it must lose."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from textwrap import dedent


@dataclass(frozen=True)
class Planted:
    """A wrong answer to one exercise; the others are answered right."""

    name: str
    exercise: str
    source: str
    loses: frozenset[str]
    review: tuple[str, ...] = ()


def planter(heads: Mapping[str, str]) -> Callable[..., Planted]:
    """Return the writer of a lesson's wrong answers.

    Args:
        heads: per exercise the line ``def …:`` that stands above every answer to it.

    Returns:
        ``planted(name, exercise, body, loses, *review)``: ``loses`` names the checks it fails,
        ``review`` the words that a person is asked to look at.
    """

    def planted(name: str, exercise: str, body: str, loses: str, *review: str) -> Planted:
        lines = ["    " + line for line in dedent(body).strip().splitlines()]
        source = "\n".join([heads[exercise], *lines])
        return Planted(name, exercise, source, frozenset(loses.split()), review)

    return planted
