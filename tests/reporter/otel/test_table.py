"""The operator's table as a file: what it may say, and how a mistake in it is told."""

import json
from pathlib import Path
from typing import Any

import pytest

from reporter.otel.table import BadTable, Table, read

SECRET = "planted-7f3a"


@pytest.mark.parametrize(
    ("document", "told"),
    [
        pytest.param("[]", "not a JSON object", id="a list"),
        pytest.param(f'{{"hosts": {SECRET}', "not JSON", id="no JSON"),
        pytest.param("[" * 100_000, "not JSON", id="too deep"),
        pytest.param({"host": {}}, "host: there is no such key; did you mean hosts?", id="an unknown key"),
        pytest.param({"hosts": {"a": SECRET}}, "hosts.a: must be one of on_device, edge", id="no route"),
        pytest.param({"hosts": {"10.0.0.1/8": "edge"}}, "hosts: with a / in it", id="an address with bits behind"),
        pytest.param({"hosts": [SECRET]}, "hosts: must be an object of texts", id="a list of hosts"),
        pytest.param({"providers": {"a": 5}}, "providers: must be an object of texts", id="a number"),
        pytest.param({"models": {"a": SECRET}}, "models: must be an object of objects", id="a model as a text"),
        pytest.param({"models": {"a": {"modl": SECRET}}}, "modl: there is no such key; did you mean model?", id="typo"),
        pytest.param({"models": {"a": {"precision": SECRET}}}, "models.a.precision: must be one of", id="precision"),
        pytest.param({"said": {"data_clas": SECRET}}, "did you mean data_class?", id="an unknown field"),
        pytest.param({"said": {"data_class": SECRET}}, "said.data_class: must be one of public", id="no class"),
        pytest.param({"said": {"tokens_in": SECRET}}, "tokens_in: there is no such key", id="a number for all tasks"),
        pytest.param({"said": {"policy_version": ""}}, "said.policy_version: must be a text", id="nothing said"),
        pytest.param(f'{{"hosts": {{"{SECRET * 30_000}": "edge"}}}}', "over 262144 bytes", id="too large"),
    ],
)
def test_a_mistake_is_told_without_its_value(document: Any, told: str, tmp_path: Path) -> None:
    """An error names the key and what it may be, and no value of the file."""
    path = tmp_path / "spans.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    with pytest.raises(BadTable) as caught:
        read(path)
    assert told in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_table_is_read_back(tmp_path: Path) -> None:
    """A file says what a table says."""
    table = {
        "hosts": {"10.20.0.0/16": "edge"},
        "providers": {"vllm": "private_cloud"},
        "models": {"a": {"model": "b"}},
        "said": {"data_class": "internal", "policy_version": "3.2"},
    }
    path = tmp_path / "spans.json"
    path.write_text(json.dumps(table))
    assert read(path) == Table(**table)  # type: ignore[arg-type]


def test_no_file_is_an_empty_table(tmp_path: Path) -> None:
    """A device without a table works with what is known anyway."""
    assert read(tmp_path / "spans.json") == Table()
