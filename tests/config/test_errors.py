"""Errors: every code is explained, every class keeps its fields, hints find near misses."""

from __future__ import annotations

import copy
import pickle
import re
from pathlib import Path

import pytest

import maxwell.errors as errors_module
from maxwell import errors
from maxwell.errors import EXPLANATIONS, ConfigError, InternalError, MaxwellError, explain

SOURCES = Path(errors_module.__file__).parent
ROOT = SOURCES.parent.parent


def all_classes() -> list[type[MaxwellError]]:
    found = [MaxwellError]
    for cls in found:
        found.extend(cls.__subclasses__())
    return sorted(set(found), key=lambda cls: cls.__name__)


def test_every_code_in_the_sources_is_explained() -> None:
    """Goal: `maxwell explain` never fails on a code that Maxwell prints. Method: read sources."""
    used: set[str] = set()
    folders = [SOURCES, *(p for p in (ROOT / "crates").glob("*/src") if p.is_dir())]
    for folder in folders:
        for suffix in ("*.py", "*.rs", "*.pyi"):
            for file in folder.rglob(suffix):
                used.update(re.findall(r"\bMX\d{4}\b", file.read_text(encoding="utf-8")))
    assert used - set(EXPLANATIONS) == set()


@pytest.mark.parametrize("code", sorted(EXPLANATIONS))
def test_explanations_are_paragraphs(code: str) -> None:
    text = explain(code.lower())
    assert re.fullmatch(r"MX1[0-9]\d\d", code)
    assert len(text) >= 50
    assert text.endswith((".", ")"))
    assert "\n" not in text
    assert "  " not in text


@pytest.mark.parametrize("cls", all_classes(), ids=lambda cls: cls.__name__)
def test_classes(cls: type[MaxwellError]) -> None:
    assert cls.default_code in EXPLANATIONS
    assert cls.exit_code in {1, 2, 120, 124, 125, 126, 127, 130, 134, 137}
    error = cls("it failed: 7", code="MX1301", hint="do this")
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(other) is cls
        assert (other.message, other.code, other.hint) == (error.message, "MX1301", "do this")
    assert "it failed: 7" in str(error)
    assert cls("x").code == cls.default_code


def test_internal_errors_ask_for_a_report_once() -> None:
    error = InternalError("slot 3")
    assert error.message == "BUG: slot 3"
    assert error.hint is not None
    assert "report" in error.hint
    assert pickle.loads(pickle.dumps(error)).message == "BUG: slot 3"


def test_unknown_code() -> None:
    with pytest.raises(ConfigError, match="unknown error code: 'MX9999'") as caught:
        explain("MX9999")
    assert caught.value.code == "MX1001"


@pytest.mark.parametrize(
    ("word", "known", "expected"),
    [
        ("fund", ["funds", "name"], "funds"),
        ("FUNDS", ["funds", "name"], "funds"),
        ("zzz", ["funds", "name"], None),
        ("x", [], None),
    ],
)
def test_near_miss(word: str, known: list[str], expected: str | None) -> None:
    assert errors.near_miss(word, known) == expected
    hint = errors.choices_hint(word, known)
    if expected:
        assert hint == f"did you mean {expected!r}?"
    else:
        assert hint in {"known here: funds, name", "there are none here"}
