"""The options of a request, as a suite has them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from services.evaluation.calling import tried
from services.evaluation.errors import BadOption, fault_in
from services.evaluation.sound import levels
from services.evaluation.suites.base import Suite

MOST_OF_A_TEXT = 10_000
"""Characters. A system prompt is one of the longest; what is asked stands in every item and every request."""


def read(suite: Suite, given: Mapping[str, Any]) -> BaseModel:
    """The suite's options as given and defaulted. Raises BadOption, which names the first at fault; SuiteFailed.

    As JSON has them, strictly: true is no number and 3 no text, and a list does for any sequence.
    """
    for name, value in given.items():
        if any(isinstance(one, str) and len(one) > MOST_OF_A_TEXT for level in levels(value) for one in level):
            raise BadOption(name, f"options.{name}: A text is longer than {MOST_OF_A_TEXT:,} characters.")
    return tried(suite.id, "options", lambda: _validated(suite, given))


def _validated(suite: Suite, given: Mapping[str, Any]) -> BaseModel:
    try:
        return suite.options.model_validate_json(json.dumps(given), strict=True)
    except ValidationError as error:
        fault = error.errors()[0]
        name = ".".join(str(part) for part in fault["loc"])
        if fault["type"] == "extra_forbidden":
            known = ", ".join(suite.options.model_fields)
            raise BadOption(name, f"The suite {suite.id} has no option {name!r}. It has: {known}.") from error
        if fault["type"] == "missing":
            field = suite.options.model_fields.get(name)
            about = (field and field.description) or ""
            raise BadOption(name, f"The suite {suite.id} needs the option {name!r}. {about}".rstrip()) from error
        raise BadOption(name, fault_in(f"options.{name}", fault)) from error
