"""What the model service refuses, and why."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from shared.http.errors import CandorError, InvalidRequest, NotFound


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


class ExpertRemoved(NotFound):
    """An expert that a request may use was removed while the request began, or for too long while it ran."""

    code = "unknown_expert"

    def __init__(self) -> None:
        super().__init__("An expert that this request names was removed. GET /v1/experts lists those there are.")


class PublicExpert(CandorError):
    """The public expert is the model itself; it is nobody's to add or remove."""

    status, code = 403, "public_expert"

    def __init__(self) -> None:
        super().__init__("The public expert can be neither replaced nor removed.", field="owner")


class BrokenExpert(CandorError):
    """The file is not an expert, not a whole one, or not of this model's shape."""

    status, code = 422, "broken_expert"


class WrongAnchor(CandorError):
    """The expert was trained on another anchor than the served model's. Not 409: to try again would not help."""

    status, code = 422, "wrong_anchor"


class ExpertsFixed(CandorError):
    """This engine cannot take in an expert while it runs; the detail says what to do instead."""

    status, code = 501, "experts_fixed"


class ExpertOfAnother(CandorError):
    """The file's expert is another owner's than the path says, or its name is taken by another expert."""

    status, code = 422, "expert_of_another"

    def __init__(self, owner: str, said: str) -> None:
        what = f"The file is the expert of {said!r}" if said != owner else f"The name {owner!r} is another expert's"
        super().__init__(f"{what}; the path says {owner!r}. Nothing was changed.", field="owner")


class ExpertsUnwritable(CandorError):
    """The folder that keeps changes of the experts cannot be written, so no change is made."""

    status, code = 503, "experts_unwritable"

    def __init__(self, folder: Path, error: OSError) -> None:
        super().__init__(
            f"{folder} cannot be written ({error.strerror or error}), so that a restart would undo this: nothing was "
            "changed. Make it writable, or set CANDOR_MODEL_EXPERTS to a folder that is."
        )


class ChangeFailed(CandorError):
    """The engine could not change its experts; the detail says how things stand."""

    status, code = 503, "change_failed"


class UnknownCheckpoint(NotFound):
    """A request names a checkpoint that is not in the folder of models."""

    code = "unknown_checkpoint"

    def __init__(self, name: str, known: Sequence[str], field: str) -> None:
        listed = ", ".join(known) or "none"
        super().__init__(f"There is no checkpoint {name!r} in CANDOR_HOME/models. There: {listed}.", field=field)
