"""Which format a file has, by its name and first line; and which files of a folder are to be fed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from connectors.feeds.archive import probe
from connectors.feeds.bitstamp_csv import is_told_by_log
from connectors.feeds.columns import Columns
from connectors.feeds.lobster import is_orderbook
from connectors.feeds.source import FeedError, Format, Probe

# Plain documents beside data files, which nobody means to feed.
_DOCUMENTS = (".txt", ".md", ".pdf", ".html")
# Tables that lie beside LEAN's bars.
_LEAN_TABLES = {
    "factor_files": "split and dividend factors: bars are fed as traded, and no topic takes these",
    "map_files": "symbol changes: feed them as a table of instruments (previous_symbol)",
}


@dataclass(frozen=True, kw_only=True)
class Found:
    """What is to be fed, and what lies beside it and is not."""

    files: tuple[tuple[Probe, Format], ...]
    skipped: tuple[tuple[Path, str], ...]


def find(paths: Iterable[Path], formats: Sequence[Format], forced: str | None = None) -> Found:
    """The files to feed, in the order of the paths and by name within a folder.

    What a folder holds beside files that are known is left out, with the reason.

    Parameters
    ----------
    paths : iterable of pathlib.Path
        Files, or folders (searched through).
    formats : sequence of Format
        The known ones, asked in this order.
    forced : str or None
        Name of the format that all files have, whatever they look like.

    Raises
    ------
    FeedError
        Where a path is not there, a file that is named is empty or of no known format, or nothing is found.
    """
    by_name = {known.name: known for known in formats}
    if forced is not None and forced not in by_name:
        raise FeedError(f"format {forced!r} is not known; there are {', '.join(by_name)}")
    files: list[tuple[Probe, Format]] = []
    skipped: list[tuple[Path, str]] = []
    for path in paths:
        if not path.exists():
            raise FeedError(f"{path}: there is no such file or folder")
        for file in _files(path):
            why = _not_fed(file, named=file == path)
            if why:
                skipped.append((file, why))
                continue
            try:
                seen = probe(file)
                files.append((seen, by_name[forced] if forced else _format(seen, formats)))
            except FeedError as error:
                # A file that is known but broken must be seen to: only what is no feed at all is left out.
                if file == path or not isinstance(error, UnknownFormatError):
                    raise
                skipped.append((file, f"the format is not known, first line {_shown(seen)}"))
    if not files:
        beside = "; ".join(f"{path}: {why}" for path, why in skipped[:5])
        raise FeedError(
            f"nothing to feed{f'; not fed: {beside}' if beside else ''}. {_known(formats)}; --format "
            "overrides what is detected"
        )
    return Found(files=tuple(files), skipped=tuple(skipped))


class UnknownFormatError(FeedError):
    """A file that no format takes."""


def _shown(seen: Probe) -> str:
    return repr(seen.first_line[:80].decode(errors="replace"))


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = [file for file in path.rglob("*") if file.is_file()]
    return sorted(file for file in found if not file.name.startswith("."))


def _not_fed(file: Path, *, named: bool) -> str:
    if is_orderbook(file.name):
        return "LOBSTER orderbook file: it is read with its message file"
    if not named and file.suffix.lower() in _DOCUMENTS:
        return "a document, not data"
    if not named and is_told_by_log(file):
        return "Bitstamp order events: the log beside it says them too"
    if not named:
        return _LEAN_TABLES.get(file.parent.name.lower(), "")
    return ""


def _format(seen: Probe, formats: Sequence[Format]) -> Format:
    for known in formats:
        if known.matches(seen):
            return known
    reasons = {known.name: reason for known in formats if (reason := known.why_not(seen))}
    # Who gives a mapping means it.
    why = reasons.get(Columns.name) or next(iter(reasons.values()), "")
    raise UnknownFormatError(
        f"{seen}: the format is not known{': ' if why else ''}{why}. {_known(formats)}; --format overrides "
        "what is detected"
    )


def _known(formats: Sequence[Format]) -> str:
    return "Known formats: " + "; ".join(f"{known.name} ({known.summary})" for known in formats)
