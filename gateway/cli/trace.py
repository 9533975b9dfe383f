"""`candor trace FILE`: where the words of any text stand verbatim in the owners' corpora."""

from __future__ import annotations

import sys
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.text import Text

from gateway.cli.failure import Failure
from gateway.cli.spans import approximate_table, legend, marked, span_table
from gateway.cli.stack_client import DEFAULT_URL, Url, call
from gateway.cli.terminal import out
from shared.contracts.tracing import PassageRead, TraceRequest


def trace(
    file: Annotated[Path, typer.Argument(help="A UTF-8 text; - reads standard input.", allow_dash=True)],
    *,
    owner: Annotated[
        list[str] | None,
        typer.Option(metavar="OWNER", help="Search this owner's corpora and the public ones only; may be given again."),
    ] = None,
    min_length: Annotated[int | None, typer.Option(min=1, help="Tokens a span has at least.")] = None,
    max_spans: Annotated[int | None, typer.Option(min=1, help="Spans kept at most.")] = None,
    prompt: Annotated[
        Path | None, typer.Option(help="A file with the prompt that the text answers: what stands in it is marked.")
    ] = None,
    passage: Annotated[
        list[Path] | None,
        typer.Option(
            help="A file with a text that the model had read: what stands in it is marked; may be given again."
        ),
    ] = None,
    approximate: Annotated[
        bool, typer.Option("--approximate", help="Also tell what stands nearly: but for case, punctuation, a word.")
    ] = False,
    url: Url = DEFAULT_URL,
    json: Annotated[bool, typer.Option("--json", help="Print the whole response and nothing else.")] = False,
) -> None:
    """Mark the spans of a text that stand verbatim in the corpora, with the documents they stand in."""
    text = _read(file)
    asked = {
        "owners": owner or None,
        "min_length": min_length,
        "max_spans": max_spans,
        "prompt": None if prompt is None else _read(prompt),
        "approximate": approximate or None,
        "passages": [PassageRead(id=str(path), text=_read(path)) for path in passage or []] or None,
    }
    try:
        request = TraceRequest(text=text, **{name: value for name, value in asked.items() if value is not None})
    except ValidationError as error:
        fault = error.errors()[0]
        raise Failure(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}.") from error
    found = call(url, lambda gateway: gateway.trace(request))
    if json:
        typer.echo(found.model_dump_json(indent=2))
        return
    out.print(marked(text, found.spans, colour=bool(out.color_system)))
    if (marks := legend(found.spans, colour=bool(out.color_system))) is not None:
        out.print(marks)
    out.print(Text(f"\n{len(found.spans)} spans in the corpora {', '.join(found.corpora) or '(none)'}", style="bold"))
    if found.spans:
        out.print(span_table(found.spans, found.documents))
    if approximate:
        out.print(Text(f"\n{len(found.approximate)} approximate matches", style="bold"))
    if found.approximate:
        out.print(approximate_table(found.approximate))
    for warning in found.warnings:
        out.print(Text(f"Note: {warning}", style="yellow"))
    out.print(Text(f"{found.tokens:,} tokens in {found.timings.total:,.0f} ms", style="dim"))


def _read(file: Path) -> str:
    try:
        # in the C locale Python takes what is no UTF-8 for half of surrogate pairs
        text = (
            TextIOWrapper(sys.stdin.buffer, encoding="utf-8").read()
            if str(file) == "-"
            else file.read_text(encoding="utf-8")
        )
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"Cannot read {file}: {error}") from error
    if not text:
        raise Failure(f"{file} is empty: there is nothing to trace.")
    return text
