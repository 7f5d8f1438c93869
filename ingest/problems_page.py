"""docs/problems.md, made from the closed list: `python -m ingest.problems_page > docs/problems.md`.

A test holds the page equal to the list, so that the page is never written by hand.
"""

import sys

from ingest.problems import PROBLEMS

HEAD = """\
# Every way the gate says no

Generated from `ingest/problems.py`; after a change there run

    .venv/bin/python -m ingest.problems_page > docs/problems.md

A refusal is a problem document (RFC 9457, `application/problem+json`) with one of these reasons and nothing of what was
sent; a record of a batch that is refused is told by the same reason. `GET /v1/problems/<reason>` answers with the same
words. docs/http.md says what else is in a document.

| action | what a device does |
| --- | --- |
| `retry` | send the same bytes again, after Retry-After where there is one, else after a pause that grows |
| `discard` | drop these bytes: they will never be taken as they are |
| `keep` | keep them until the gate, or the device, has been updated |
| `ask_admin` | keep them and tell a person: a setting of the device or of the gate has to change |

| reason | status | action | what it means |
| --- | --- | --- | --- |
"""


def page() -> str:
    """The whole page as Markdown."""
    rows = (
        f"| `{reason.value}` | {problem.status} | `{problem.action}` | {problem.title} |"
        for reason, problem in PROBLEMS.items()
    )
    return HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
