"""What the golden reports of the wire would be today, as a diff.

    python -m tests.wire.regenerate            prints the names of the files that differ and changes nothing
    python -m tests.wire.regenerate --write    writes them

Bytes, hex and JSON are made from `tests/wire/values.py`; a change of them is a change of what devices have to send.
The answers are those of a real gate, and change with the policies. The tests never run this.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from schemas.catalogue import Catalogue, load_catalogue
from tests.running_gate import RunningGate
from tests.wire.encoding import Part, encoded, message
from tests.wire.files import FOLDER, GoldenFile, sequence
from tests.wire.golden_gate import answers, golden_gate
from tests.wire.values import Golden, goldens


def made(golden: Golden, catalogue: Catalogue) -> dict[Path, bytes]:
    """The files of a golden report that need no gate."""
    schema = catalogue.latest[golden.report]
    values = golden.value if isinstance(golden.value, list) else [golden.value]
    written = [message(schema, value, golden.head) for value in values]
    body = FOLDER / f"{golden.name}{'.avro-sequence' if _is_batch(golden) else '.avro'}"
    return {
        body: sequence([encoded(parts) for parts in written]) if _is_batch(golden) else encoded(written[0]),
        body.with_suffix(".hex"): "".join(_hex(golden, written)).encode(),
        body.with_suffix(".json"): _json(golden.value),
    }


def answered(golden: Golden, files: dict[Path, bytes], gate: RunningGate) -> dict[Path, bytes]:
    """The file with the gate's answers."""
    body = next(iter(files))
    file = GoldenFile(body)
    told = answers(gate, file, files[body], file.media_type)
    return {file.beside(".answer.json"): _json({"why": golden.why, **told})}


def _is_batch(golden: Golden) -> bool:
    return isinstance(golden.value, list)


def _hex(golden: Golden, written: list[list[Part]]) -> Iterator[str]:
    for parts in written:
        if _is_batch(golden):
            length = len(encoded(parts))
            yield _line(Part((length.to_bytes(4, "big"),), f"{length} bytes"))
        yield from (_line(part) for part in parts)


def _line(part: Part) -> str:
    return f"{' '.join(token.hex() for token in part.tokens)}  # {part.said}\n"


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def main() -> int:
    """Name what differs; exit 1 if something does and was not written."""
    parser = argparse.ArgumentParser(prog="python -m tests.wire.regenerate", description=__doc__.partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="write the files that differ")
    write = parser.parse_args().write
    catalogue = load_catalogue()
    wanted: dict[Path, bytes] = {}
    with tempfile.TemporaryDirectory() as folder, golden_gate(Path(folder)) as gate:
        for golden in goldens(catalogue):
            files = made(golden, catalogue)
            wanted |= files | answered(golden, files, gate)
    gone = {file for file in FOLDER.glob("*/*") if file not in wanted}
    different = {file for file, content in wanted.items() if not file.exists() or file.read_bytes() != content}
    for file in sorted(gone | different):
        sys.stdout.write(f"{'gone' if file in gone else 'differs'}: {file.relative_to(FOLDER)}\n")
        if write:
            _settle(file, wanted.get(file))
    return 1 if gone | different and not write else 0


def _settle(file: Path, content: bytes | None) -> None:
    if content is None:
        file.unlink()
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


if __name__ == "__main__":
    sys.exit(main())
