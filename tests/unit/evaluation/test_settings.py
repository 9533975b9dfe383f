"""What an operator's settings may say of the endpoints."""

import json

import pytest
from pydantic import ValidationError

from services.evaluation.settings import EvaluationSettings

REFUSED = [
    ("https://ann:hunter2@host", "put the key in api_key, not in the address"),
    ("https://hunter2@host:8000/models", "put the key in api_key, not in the address"),
    ("https://:hunter2@[::1]", "put the key in api_key, not in the address"),
    ("https://host?key=hunter2", "put a key in api_key, not in the address"),
    ("https://host/models#hunter2", "put a key in api_key, not in the address"),
    ("https://ann:hunter2", "begins with http:// or https:// and a host"),
    ("https://[hunter2", "begins with http:// or https:// and a host"),
    ("ftp://ann:hunter2@host", "begins with http:// or https:// and a host"),
    ("https:///hunter2", "begins with http:// or https:// and a host"),
]


@pytest.mark.parametrize(("address", "said"), REFUSED)
def test_a_key_in_an_address_which_warnings_versions_and_reports_show_is_refused_and_not_repeated(
    address: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValidationError) as own:
        EvaluationSettings(gateway_url=address)
    monkeypatch.setenv("CANDOR_EVALUATION_ENDPOINTS", json.dumps({"judge": {"url": address, "model": "reader"}}))
    with pytest.raises(ValidationError) as named:
        EvaluationSettings()
    for error in (own, named):
        assert said in str(error.value)
        assert "hunter2" not in str(error.value)


def test_a_setting_that_is_wrong_does_not_show_the_keys_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANDOR_EVALUATION_ENDPOINTS", json.dumps({"judge": {"api_key": "hunter2"}}))
    with pytest.raises(ValidationError, match=r"endpoints\.judge\.url") as error:
        EvaluationSettings()
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize("address", ["http://host", "https://host:8000/models/", "http://[::1]:80", "http://h/a@b"])
def test_an_address_without_one_is_taken_less_its_last_slash(address: str) -> None:
    assert EvaluationSettings(gateway_url=address).gateway_url == address.rstrip("/")
