"""A real gate answers to the golden reports as their answer files say."""

from collections.abc import Iterator

import pytest

from ingest.problems import PROBLEMS, Reason
from tests.running_gate import RunningGate
from tests.wire.files import JSON, GoldenFile, golden_files
from tests.wire.golden_gate import KEY, answers, golden_gate
from tests.wire.values import STRINGS

FILES = [pytest.param(file, id=file.name) for file in golden_files()]


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGate]:
    """A gate at the time of the golden reports."""
    with golden_gate(tmp_path_factory.mktemp("gate")) as running:
        yield running


@pytest.mark.parametrize("file", FILES)
def test_the_bytes_get_the_answer(gate: RunningGate, file: GoldenFile) -> None:
    """The gate answers to the bytes as written down, and shows in a check what is written down."""
    assert answers(gate, file, file.raw, file.media_type) == without_reason(file)


@pytest.mark.parametrize("file", FILES)
def test_the_json_gets_the_answer(gate: RunningGate, file: GoldenFile) -> None:
    """The same report as JSON gets the same answer, and would be stored as the same record."""
    assert answers(gate, file, file.beside(".json").read_bytes(), JSON) == without_reason(file)


def without_reason(file: GoldenFile) -> dict[str, object]:
    """The answers of a file, without the sentence that says why it is there."""
    content = file.answer
    content.pop("why")
    return content


def test_one_block_or_another_is_the_same_report() -> None:
    """Blocks that tell their size change nothing in the answer."""
    found = {file.name: file for file in golden_files()}
    full, sized = found["managed/route_window.full"], found["managed/route_window.sized_blocks"]
    assert full.raw != sized.raw
    assert full.posted == sized.posted
    assert without_reason(full) == without_reason(sized)


def test_no_answer_holds_an_identifier() -> None:
    """No identifier of a golden report is in any answer, and the pseudonym of the device is not its name."""
    told = "".join(file.beside(".answer.json").read_text(encoding="utf-8") for file in golden_files())
    for name in ("device_id", "user_id", "user_email", "hostname", "serial", "ip_address"):
        assert STRINGS[name] not in told
    assert KEY.hex() not in told


def test_the_answers_show_what_a_sender_meets() -> None:
    """Among the golden answers are an acceptance, a batch with a verdict of its own, and refusals with their action."""
    told = [file.answer for file in golden_files()]
    refused = {answer["answer"]["reason"] for answer in told if answer["status"] != 202}
    assert refused == {"consent_absent", "field_refused"}
    assert all(PROBLEMS[Reason(reason)].action == "discard" for reason in refused)
    assert [answer["answer"]["rejected"] for answer in told if answer["answer"].get("rejected")] == [
        [
            {
                "index": 1,
                "outcome": "rejected",
                "reason": "window_inverted",
                "path": "window_end",
                "action": "discard",
            }
        ]
    ]
