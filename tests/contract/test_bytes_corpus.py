"""Corpora of bytes, elsewhere than in the data folder: what the build writes by the settings, the service serves."""

from pathlib import Path

import httpx
import pytest

from services.tracing.app import create_app
from services.tracing.index.build import build_all
from services.tracing.settings import TracingSettings
from tests.tracing_support import manual, owner, serving, write_texts

TEXT = "The harbour of Emden freezes in hard winters, \u2014 na\u00efve \U0001f600 ones."


def test_the_settings_are_those_of_the_build_and_of_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANDOR_TRACING_DIRECTORY", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("CANDOR_TRACING_TOKENIZER", "bytes")
    write_texts(tmp_path / "texts" / "papers" / "manual.jsonl", "papers", [*manual()[:20], TEXT])
    (built,) = build_all(tmp_path, [owner("papers", public=True)], lambda _: None)
    assert built.tokens == sum(len(text.encode()) for text in [*manual()[:20], TEXT])
    assert not (tmp_path / "tracing").exists()
    with serving(create_app(TracingSettings())) as client:
        span = traced(
            client, "They say that the harbour of Emden freezes in hard winters, \u2014 na\u00efve \U0001f600"
        )
        assert span == "the harbour of Emden freezes in hard winters, \u2014 na\u00efve \U0001f600"[4:]
        answer = client.post("/v1/count", json={"text": "na\u00efve \U0001f600"}).json()
        assert answer["count"] == 1
        text = "the HARBOUR of Emden freezes in very hard winters"
        near = client.post("/v1/trace", json={"text": f"{text}!", "approximate": True, "min_words": 5}).json()
        assert [match["text"] for match in near["approximate"]] == [text]


def traced(client: httpx.Client, text: str) -> str:
    """The longest span of a text."""
    spans = client.post("/v1/trace", json={"text": text, "max_spans": 50}).json()["spans"]
    return str(max((span["text"] for span in spans), key=len))
