"""Colours of the two themes: text is readable on what it lies on (WCAG 2.2, success criteria 1.4.3 and 1.4.11)."""

import re
from pathlib import Path

import pytest

from serving.dashboard import page

THEME = (Path(page.__file__).parent / "static" / "theme.css").read_text()
# What text of each colour may lie on.
GROUNDS = ("page", "panel", "raised")
TEXTS = ("text", "muted", "accent", "up", "down")
ON = (("on-accent", "accent"), ("on-warn", "warn"))


def _colours(theme: str) -> dict[str, str]:
    blocks = {
        "dark": re.search(r":root \{(.*?)\}", THEME, re.DOTALL),
        "light": re.search(r':root\[data-theme="light"\] \{(.*?)\}', THEME, re.DOTALL),
    }
    block = blocks[theme]
    assert block is not None
    return dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", block[1]))


def _luminance(colour: str) -> float:
    """Relative luminance as WCAG 2.2 defines it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def test_the_contrast_of_black_on_white_is_that_of_the_standard() -> None:
    assert _contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert _contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_text_has_a_contrast_of_at_least_4_5(theme: str) -> None:
    colours = _colours(theme)
    pairs = [*((text, ground) for text in TEXTS for ground in GROUNDS), *ON]
    weak = {
        pair: round(_contrast(colours[pair[0]], colours[pair[1]]), 2)
        for pair in pairs
        if _contrast(colours[pair[0]], colours[pair[1]]) < 4.5
    }
    assert not weak
