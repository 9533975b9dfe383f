"""MemFree decoding through the model service: whose texts it can keep from being repeated, and whose not."""

import json
from pathlib import Path

import httpx
import pytest

from tests.contract.model_support import CHAT, TEXT, ready, refused, tiny_app, tiny_checkpoint


def test_a_completion_avoids_the_text_of_an_owner_that_has_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANDOR_HOME", str(tmp_path))
    (tmp_path / "texts" / "papers").mkdir(parents=True)
    text = "the owner leaves and the model forgets what it has learned from the owner"
    (tmp_path / "texts" / "papers" / "one.jsonl").write_text(json.dumps({"id": "1", "text": text}) + "\n")
    app = tiny_app(tiny_checkpoint(tmp_path / "model"))
    with ready(app) as address, httpx.Client(base_url=address, timeout=60) as client:
        tokens = client.post("/tokenize", json={"prompt": text, "add_special_tokens": False}).json()["tokens"]
        # a bias makes the model say the text's tenth token, unless it may not
        body = TEXT | {"prompt": tokens[:9], "max_tokens": 1, "temperature": 0, "logit_bias": {str(tokens[9]): 100}}
        body |= {"logprobs": 0}
        free = client.post("/v1/completions", json=body | {"candor": {"memfree": ["papers"]}}).json()
        plain = client.post("/v1/completions", json=body).json()
        asked = client.post("/detokenize", json={"tokens": [tokens[9]]}).json()["prompt"]
        assert plain["choices"][0]["text"] == asked
        assert free["choices"][0]["text"] != asked
        status, error = refused(client, "/v1/completions", TEXT | {"candor": {"memfree": ["news"]}})
        assert (status, error["error"]["code"]) == (404, "nothing_to_protect")
        status, error = refused(client, "/v1/chat/completions", CHAT | {"candor": {"memfree": ["news"]}})
        assert (status, error["error"]["code"]) == (404, "nothing_to_protect")
        status, _ = refused(client, "/v1/completions", TEXT | {"candor": {"memfree": ["../papers"]}})
        assert status in (400, 422)
