"""What the model service refuses, and why."""

from __future__ import annotations

from collections.abc import Sequence

from shared.http.errors import InvalidRequest, NotFound


class UnknownExpert(NotFound):
    """A request names an expert that the model does not have."""

    code = "unknown_expert"

    def __init__(self, expert: str, known: Sequence[str], field: str) -> None:
        super().__init__(f"There is no expert {expert!r}. Known: {', '.join(known)}.", field=field)


class UnknownModel(NotFound):
    """A request names a model that this service does not serve."""

    code = "model_not_found"

    def __init__(self, model: str, served: str) -> None:
        super().__init__(f"There is no model {model!r} here. This service serves {served!r}.", field="model")


class ContextLengthExceeded(InvalidRequest):
    """Prompt and answer are longer than the model's context."""

    code = "context_length_exceeded"

    def __init__(self, limit: int, prompt: int, new: int, field: str) -> None:
        asked = f"{prompt} tokens of prompt" + (f" and {new} of answer" if new else "")
        super().__init__(
            f"This model's context is {limit} tokens; the request needs {prompt + new}: {asked}.", field=field
        )


class UnknownCheckpoint(NotFound):
    """A request names a checkpoint that is not in the folder of models."""

    code = "unknown_checkpoint"

    def __init__(self, name: str, known: Sequence[str], field: str) -> None:
        listed = ", ".join(known) or "none"
        super().__init__(f"There is no checkpoint {name!r} in CANDOR_HOME/models. There: {listed}.", field=field)
