"""A plot as data: what a suite hands to the report, which draws it."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, model_validator


class Series(BaseModel):
    """Points of one name; `low` and `high` are the 95% interval of each y, where it is known."""

    name: str
    x: list[float] | list[str]
    y: list[float | None]
    low: list[float | None] | None = None
    high: list[float | None] | None = None

    @model_validator(mode="after")
    def _of_one_length(self) -> Self:
        if any(len(values) != len(self.x) for values in (self.y, self.low, self.high) if values is not None):
            raise ValueError(f"the series {self.name!r} has lists of different lengths")
        return self


class Plot(BaseModel):
    """Series over common axes. `note` says in plain words what the plot shows and what it does not."""

    kind: Literal["line", "bar", "points"]
    title: str
    x_title: str
    y_title: str
    series: list[Series]
    note: str = ""
    x_log: bool = False


class Heatmap(BaseModel):
    """A matrix: `values[row][column]`, null where there is no value. `centre`: the value that means no difference.

    `low` and `high` are the 95% interval of each value, where it is known.
    """

    kind: Literal["heatmap"] = "heatmap"
    title: str
    x_title: str
    y_title: str
    columns: list[str]
    rows: list[str]
    values: list[list[float | None]]
    low: list[list[float | None]] | None = None
    high: list[list[float | None]] | None = None
    centre: float | None = None
    note: str = ""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        for matrix in (self.values, self.low, self.high):
            if matrix is not None and [len(row) for row in matrix] != [len(self.columns)] * len(self.rows):
                raise ValueError(f"the heatmap {self.title!r} has not a value for each row and column")
        return self


Figure = Annotated[Plot | Heatmap, Field(discriminator="kind")]
