"""Teach the small models, and run one training by itself.

``python -m services.evaluation.grpo teach qwen2`` makes a small family's model; ``train SETTINGS --out FOLDER`` runs a
training whose settings are JSON (a file, or `-` for what is piped in), and writes ``outcome.json``.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from pydantic import ValidationError

from services.evaluation.grpo.families import FAMILIES
from services.evaluation.grpo.settings import SMALL, Training
from shared.settings import candor_home


def main() -> None:
    """Run the command of the line."""
    parser = argparse.ArgumentParser(prog="python -m services.evaluation.grpo")
    commands = parser.add_subparsers(required=True)
    teaching = commands.add_parser("teach", help="make a small family's model in the data folder, and name its weights")
    teaching.add_argument("family", choices=FAMILIES)
    teaching.set_defaults(run=_teach)
    training = commands.add_parser("train", help="run one training, or go on with it")
    training.add_argument("settings", help="JSON of its settings: a file, or - for standard input")
    training.add_argument("--out", type=Path, required=True, help="its folder")
    training.add_argument("--small", action="store_true", help="with the budget for two CPU cores")
    training.add_argument("--keep", action="store_true", help="keep the trained model, in the folder's `model`")
    training.set_defaults(run=_train)
    arguments = parser.parse_args()
    arguments.run(arguments)


def _teach(arguments: argparse.Namespace) -> None:
    import torch  # noqa: PLC0415 - the line is read first
    from transformers import AutoModelForCausalLM  # noqa: PLC0415

    from services.evaluation.grpo.run import base, fingerprint  # noqa: PLC0415

    torch.set_num_threads(1)
    place = base(arguments.family, candor_home())
    weights = fingerprint(AutoModelForCausalLM.from_pretrained(place))
    print(json.dumps({"model": place, "weights": f"sha256:{weights}"}))


def _train(arguments: argparse.Namespace) -> None:
    said = sys.stdin.read() if arguments.settings == "-" else Path(arguments.settings).read_text(encoding="utf-8")
    try:
        given = json.loads(said)
        if arguments.small:
            given["budget"] = SMALL.model_dump() | given.get("budget", {})
        training = Training.model_validate(given)
    except ValidationError as error:
        sys.exit("; ".join(f"{'.'.join(map(str, one['loc'])) or 'settings'}: {one['msg']}" for one in error.errors()))
    except (ValueError, TypeError) as error:
        sys.exit(f"The settings are no JSON object: {error}")
    from services.evaluation.errors import BadOption, MissingData  # noqa: PLC0415 - torch is imported with what follows
    from services.evaluation.grpo.data import NothingToTrain  # noqa: PLC0415
    from services.evaluation.grpo.run import AnotherTraining, run  # noqa: PLC0415

    try:
        outcome = run(training, arguments.out, candor_home(), keep=arguments.keep)
    except (AnotherTraining, NothingToTrain, BadOption, MissingData) as error:
        sys.exit(str(error))
    print(outcome)


if __name__ == "__main__":
    main()
