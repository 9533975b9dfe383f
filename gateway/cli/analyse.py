"""`candor model analyse`: which experts work on which text, as a page of plots."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.failure import explained
from gateway.cli.terminal import cut, errors, out, table


def analyse(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A checkpoint's folder.")],
    *,
    text: Annotated[
        list[Path], typer.Option(help="A file or folder of text: a domain of its own. Repeat it for more domains.")
    ],
    page: Annotated[Path, typer.Option("--out", help="The HTML page to write.")],
    against: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Another checkpoint, to compare the choices of experts with.")
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(metavar="OWNER", help="Leave this owner's experts out. May be repeated.")
    ] = None,
    tokens: Annotated[int, typer.Option(min=1, help="Tokens of each domain at most.")] = 4096,
    length: Annotated[int, typer.Option(min=1, help="Tokens of each document at most, from its beginning.")] = 256,
    least: Annotated[int, typer.Option(min=1, help="Leave out vocabulary entries seen fewer times.")] = 10,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the figures here as well.")] = None,
) -> None:
    """Route text through a checkpoint and write a page: shares, specialisation, co-activation and saturation."""
    from services.model.analysis.folder import Sample, analyse_folder
    from services.model.analysis.page import page as page_of
    from services.model.analysis.texts import read_domains

    with explained(OSError, ValueError), errors.status("reading") as status:
        found = analyse_folder(
            directory,
            read_domains(text),
            Sample(tokens=tokens, length=length, least=least),
            exclude=exclude or [],
            against=against,
            progress=lambda what: status.update(f"{what} ..."),
        )
        page.write_text(page_of(found), encoding="utf-8")
        if json is not None:
            json.write_text(found.model_dump_json(indent=1), encoding="utf-8")
    rows = table("domain", "tokens", *found.experts)
    for name, domain in found.domains.items():
        means = [sum(layer) / len(domain.specialisation) for layer in zip(*domain.specialisation, strict=True)]
        rows.add_row(cut(name, 30), f"{domain.tokens:,}", *(f"{mean:.2f}" for mean in means))
    out.print(rows)
    out.print(f"Shares of a domain's tokens that an expert computes, mean over layers; evenly: {found.uniform:.2f}.")
    out.print(f"The page is {page}", soft_wrap=True, markup=False)
