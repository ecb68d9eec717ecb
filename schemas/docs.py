"""``docs/topics.md``, derived from the topics: ``python -m schemas.docs`` writes it."""

from collections.abc import Iterator
from pathlib import Path

from schemas.field import CATEGORY, Field
from schemas.registry import TOPICS
from schemas.topic import Kind, Rule, Topic

PAGE = Path(__file__).resolve().parents[1] / "docs" / "topics.md"

_DAY_NS = 86_400_000_000_000
_HEAD = """# Topics

Made from `schemas/` by `python -m schemas.docs`; change the declarations, not this page.

Rows are ordered within a key, not between keys. A landed row also has its position: `_partition`,
`_offset`, `_row`, and `_appended`, the time at which the log took its record. "May be null" means that
null stands for undefined; no number ever does. A field with a default may be left out in an inbox, and
`ts_recv` is always set by the platform there.
"""


def page() -> str:
    """The whole page as Markdown."""
    index = [f"- [`{t.name}`](#{t.name}) ({t.kind}): {t.meaning}" for t in TOPICS.values()]
    parts = [_HEAD, "\n".join(index), *("\n".join(_section(t)) for t in TOPICS.values())]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _section(topic: Topic) -> Iterator[str]:
    yield f"## {topic.name}"
    yield ""
    yield topic.meaning
    yield ""
    yield f"- Version {topic.version}, {topic.kind}."
    yield f"- Key `{topic.key}`, event time `{topic.event_time}`."
    identity = ", ".join(f"`{name}`" for name in topic.identity)
    yield f"- A row is named by {identity or 'its place in the log'}."
    if topic.inbox:
        yield f"- Others write to the inbox `{topic.inbox_name}`."
    order = ", ".join(topic.landing.order_by)
    yield f"- Lands ordered by ({order}), one partition a {topic.landing.partition_by}."
    keeps = "for ever" if topic.retention_ns is None else f"{topic.retention_ns / _DAY_NS:g} days"
    yield f"- The log keeps it {keeps}."
    if topic.kind is Kind.RAW and not topic.watermarked:
        yield "- Its rows may come in any order; sources append no watermark rows to it."
    yield from (f"- {_rule(rule)}" for rule in topic.rules)
    yield ""
    yield "| field | type | unit | may be null | holds | meaning |"
    yield "|---|---|---|---|---|---|"
    yield from (_row(field) for field in topic.fields)


def _rule(rule: Rule) -> str:
    values = " or ".join(f"`{value}`" for value in rule.values)
    needs = (" or " if rule.any_of else " and ").join(f"`{name}`" for name in rule.needs)
    return f"Where `{rule.field}` is {values}, {needs} must be given."


def _row(field: Field) -> str:
    kind = "string (dictionary)" if field.type == CATEGORY else str(field.type)
    nullable = "yes" if field.nullable else "no"
    cells = (f"`{field.name}`", kind, field.unit, nullable, _holds(field), field.meaning)
    return f"| {' | '.join(cells)} |"


def _holds(field: Field) -> str:
    parts = []
    if field.allowed:
        parts.append(", ".join(f"`{value}`" for value in field.allowed))
    if field.above is not None:
        parts.append(f"above {field.above:g}")
    if field.minimum is not None:
        parts.append(f"{field.minimum:g} or more")
    if field.maximum is not None:
        parts.append(f"{field.maximum:g} or less")
    if field.default is not None:
        parts.append(f"default `{str(field.default).lower()}`")
    return "; ".join(parts)


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
