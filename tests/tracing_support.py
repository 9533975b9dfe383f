"""What the unit and contract tests of tracing share: a small tokenizer, texts on disk, and the app over HTTP."""

import json
import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI
from tokenizers import Tokenizer as Encoder
from tokenizers import decoders, models, pre_tokenizers, trainers

from services.tracing.settings import TracingSettings, tokenizer_in
from shared.owners import Owner


def train_tokenizer(path: Path) -> None:
    """A byte-level BPE of SmolLM2's kind on CPython's manual; it lacks the bytes that its training text lacks."""
    encoder = Encoder(models.BPE())
    encoder.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    encoder.decoder = decoders.ByteLevel()
    # every continuation byte, some accents and emoji, but no control character and no plane past the first two
    others = "".join(chr(0x4E00 + n) for n in range(256)) + "".join(chr(0x1F300 + n) for n in range(256)) + "àéîöûñ"
    trainer = trainers.BpeTrainer(vocab_size=1200, special_tokens=["<|end|>"], show_progress=False)
    encoder.train_from_iterator([*topics.values(), others], trainer)
    path.parent.mkdir(parents=True, exist_ok=True)
    encoder.save(str(path))


def manual() -> list[str]:
    """Paragraphs of CPython's manual, in ASCII: the brute force knows no other words."""
    text = "\n\n".join(topics[name] for name in sorted(topics)[:24])
    return [paragraph for paragraph in re.split(r"\n\n+", text) if len(paragraph) > 60 and paragraph.isascii()][:200]


def owner(identity: str, *, public: bool = False) -> Owner:
    """An owner of these tests."""
    return Owner(id=identity, name=identity, licence="PSF-2.0", contact="nobody", public=public)


def write_texts(path: Path, identity: str, texts: Sequence[str], source: str = "manual") -> Path:
    """A text file of an owner: document n has the id `source:owner-n`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        {
            "id": f"{source}:{identity}-{number}",
            "text": text,
            "title": f"Title {number}",
            "owner": identity,
            "source": source,
            "licence": "PSF-2.0",
            "url": None,
            "split": "train",
        }
        for number, text in enumerate(texts)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def settings_in(home: Path, **others: Any) -> TracingSettings:
    """The settings of a service on what `build_all` made in a home."""
    return TracingSettings(directory=home / "tracing", tokenizer=tokenizer_in(home), **others)


def without_blocked(home: Path) -> TracingSettings:
    """The same, with a takedown list in which there is nothing yet: `blocked.jsonl` in the home."""
    (home / "blocked.jsonl").write_text("")
    return settings_in(home, blocked=home / "blocked.jsonl")


SECONDS_TO_SETTLE = 180


@contextmanager
def serving(app: FastAPI) -> Iterator[httpx.Client]:
    """The app on a free port of loopback, until its /readyz is settled; and a client of it."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + SECONDS_TO_SETTLE
    while not server.started:
        assert thread.is_alive(), "the app ended before it had started"
        assert time.monotonic() < until, "the app did not start"
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
        while not settled(readiness := client.get("/readyz").json()):
            assert time.monotonic() < until, readiness
            time.sleep(0.02)
        yield client
    server.should_exit = True
    thread.join(10)


def settled(readiness: dict[str, object]) -> bool:
    """Whether the app is ready or has given up."""
    return bool(readiness["ready"]) or str(readiness["phase"]).startswith("failed")
