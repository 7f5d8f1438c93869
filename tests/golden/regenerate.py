"""What the golden files would say today, as a diff.

    python -m tests.golden.regenerate            prints the diff and changes nothing
    python -m tests.golden.regenerate --write    prints the diff and writes it

Read the diff before it is committed: each line of it is a change in what the gate keeps. The tests never run this.
"""

import argparse
import difflib
import json
import sys

from schemas.catalogue import Catalogue, load_catalogue
from tests.golden.case import Case, cases


def as_text(case: Case, catalogue: Catalogue) -> str:
    """The file as it would be written: `expected` computed, everything else as it is."""
    content = case.content | {"expected": case.outcome(catalogue)}
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def main() -> int:
    """Print the difference; exit 1 if there is one and it was not written."""
    parser = argparse.ArgumentParser(prog="python -m tests.golden.regenerate", description=__doc__.partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="write the files after printing the diff")
    write = parser.parse_args().write
    catalogue = load_catalogue()
    differences = 0
    for case in cases():
        old, new = case.file.read_text(encoding="utf-8"), as_text(case, catalogue)
        if old != new:
            differences += 1
            lines = difflib.unified_diff(
                old.splitlines(keepends=True), new.splitlines(keepends=True), f"{case.name} (now)", case.name
            )
            sys.stdout.writelines(lines)
            if write:
                case.file.write_text(new, encoding="utf-8")
    sys.stdout.write(f"{differences} files differ{', written' if write and differences else ''}\n")
    return 1 if differences and not write else 0


if __name__ == "__main__":
    sys.exit(main())
