"""Directives that write reference pages from the code, so that they cannot differ from it.

`{maxwell-errors}` lists every error code with its explanation, `{maxwell-cli}` every verb with its
options, `{maxwell-schema}` every key of report.json.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, cast

import click
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class Generated(SphinxDirective):
    """A directive whose content is Markdown that a function writes."""

    has_content = False
    source: ClassVar[Path | None] = None
    """A file that the page must be rebuilt for."""

    def lines(self) -> Iterator[str]:
        """Yields lines of Markdown."""
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        """Parses what `lines` yields in place of the directive."""
        if self.source is not None:
            self.env.note_dependency(str(self.source))
        parent = nodes.section()
        parent.document = self.state.document
        self.state.nested_parse(StringList(list(self.lines()), source="generated"), 0, parent)
        return parent.children


class ErrorCodes(Generated):
    """Every error code."""

    def lines(self) -> Iterator[str]:
        """Yields a definition list."""
        from maxwell.errors import EXPLANATIONS

        for code, text in EXPLANATIONS.items():
            yield f"`{code}`"
            yield f": {text}"
            yield ""


class CommandLine(Generated):
    """Every verb."""

    def lines(self) -> Iterator[str]:
        """Yields the usage, the help and a table of options of each verb."""
        from maxwell.cli.app import VERBS, program

        for name in VERBS:
            context = click.Context(program, info_name="maxwell")
            command = program.get_command(context, name)
            assert command is not None
            yield from self._help(command, name, context)

    def _help(self, command: click.Command, name: str, parent: click.Context) -> Iterator[str]:
        """Yields a verb's help, and that of the verbs below it."""
        own = click.Context(command, info_name=name, parent=parent)
        yield f"**{own.command_path}**"
        yield ""
        yield "```text"
        yield from command.get_help(own).splitlines()
        yield "```"
        yield ""
        if isinstance(command, click.Group):
            for below, subcommand in command.commands.items():
                yield from self._help(subcommand, below, own)


SCHEMA = Path(__file__).resolve().parents[1] / "reference/report.schema.json"


class ReportSchema(Generated):
    """Every key of report.json."""

    source = SCHEMA

    def lines(self) -> Iterator[str]:
        """Yields a table an object."""
        schema = cast(dict[str, Any], json.loads(SCHEMA.read_text(encoding="utf-8")))
        yield from _keys("The report", schema)
        for key in ("energy_uj", "setup_uj", "credits", "model"):
            yield from _keys(f"`{key}`", schema["properties"][key])
        yield from _keys("One of `cells`", schema["$defs"]["cell"])
        yield from _keys("One of `processes`", schema["$defs"]["process"])


def _keys(title: str, schema: Mapping[str, Any]) -> Iterator[str]:
    """Yields the keys of one object as a table."""
    yield f"**{title}**"
    yield ""
    yield "| key | type | meaning |"
    yield "|---|---|---|"
    for key, value in schema["properties"].items():
        yield f"| `{key}` | {_type(value)} | {value.get('description', '')} |"
    yield ""


def _type(value: Mapping[str, Any]) -> str:
    """Names a key's type in a word."""
    reference = str(value.get("$ref", ""))
    if reference.endswith("decimal"):
        return "decimal string"
    if "const" in value or "enum" in value:
        return "text"
    kind = value.get("type", "")
    names = {"string": "text", "integer": "count", "boolean": "true/false", "array": "list"}
    kinds = cast(list[str], kind) if isinstance(kind, list) else [str(kind)]
    return " or ".join(names.get(one, one) for one in kinds)


def setup(app: Sphinx) -> dict[str, bool]:
    """Registers the directives."""
    app.add_directive("maxwell-errors", ErrorCodes)
    app.add_directive("maxwell-cli", CommandLine)
    app.add_directive("maxwell-schema", ReportSchema)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
