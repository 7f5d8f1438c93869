"""Work in a process of its own: its result, its failure, and its end with the block."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.load.process_table import alive
from tests.running_gate import PATIENCE_SECONDS, eventually

BEGINNING = """
import os, signal, sys, time
from pathlib import Path
from load.fleet.meanwhile import meanwhile
here, folder = os.getpid(), Path(sys.argv[1])
"""

ANOTHER_PROCESS = """
with meanwhile(lambda: (os.getpid(), 7)) as result: pid, found = result()
assert pid != here
"""

DONE_AGAIN = """
def work():
    if os.getpid() != here: os._exit(1)
    return 7
with meanwhile(work) as result: found = result()
"""

NOT_INTERRUPTED = """
def wait_for(name):
    while not (folder / name).exists(): time.sleep(0.01)
def work():
    (folder / "begun").touch()
    wait_for("sent")
    return os.getpid(), 7
with meanwhile(work) as result:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    wait_for("begun")
    os.kill(0, signal.SIGINT)
    (folder / "sent").touch()
    pid, found = result()
assert pid != here
"""

LARGE = """
with meanwhile(lambda: [bytes([one % 256]) * 1000 for one in range(5000)]) as result: found = result()[7][0]
"""

# Programs, since a process with the threads of a test run had better not be forked.
PROGRAMS = [
    pytest.param(ANOTHER_PROCESS, id="from another process"),
    pytest.param(DONE_AGAIN, id="done again where that process is gone"),
    pytest.param(NOT_INTERRUPTED, id="Ctrl-C is for the one that waits"),
    pytest.param(LARGE, id="more than a pipe holds"),
]


@pytest.mark.parametrize("program", PROGRAMS)
def test_result(program: str, tmp_path: Path) -> None:
    """What the work returns is there for whoever asks."""
    command = [sys.executable, "-c", f"{BEGINNING}{program}\nassert found == 7", str(tmp_path)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False, start_new_session=True
    )
    assert done.returncode == 0, done.stderr


def test_failure_is_raised_where_it_is_asked_for(tmp_path: Path) -> None:
    """Work that fails fails in the process that waits as well, with the same error."""
    program = f"{BEGINNING}\nwith meanwhile(lambda: {{}}['missing']) as result: result()"
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.rstrip().endswith("KeyError: 'missing'")


ENDS = [
    pytest.param("pass", 0, id="the block ends"),
    pytest.param("raise SystemExit(3)", 3, id="the block fails"),
    pytest.param("os.kill(here, signal.SIGKILL)", -9, id="killed"),
]


@pytest.mark.parametrize(("end", "code"), ENDS)
def test_process_ends_with_the_block(end: str, code: int, tmp_path: Path) -> None:
    """Nobody works on for a result that is no longer wanted."""
    seconds = 600 if code >= 0 else 1
    program = f"""{BEGINNING}
def work():
    (folder / "pid").write_text(str(os.getpid()))
    time.sleep({seconds})
    return bytes(1 << 20)
with meanwhile(work):
    while not (folder / "pid").exists() or not (folder / "pid").read_text(): time.sleep(0.01)
    {end}
try: os.kill(int((folder / "pid").read_text()), 0)
except ProcessLookupError: sys.exit(0)
sys.exit("it goes on after the block")
"""
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], timeout=PATIENCE_SECONDS, check=False)
    assert done.returncode == code
    pid = int((tmp_path / "pid").read_text())
    eventually(lambda: not alive(pid), "the process ended")
