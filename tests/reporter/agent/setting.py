"""A device at a gate, and the agent's commands as they are typed."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reporter.agent.asking import STATUS, ask
from reporter.directory import VARIABLE, Directory
from tests.running_gate import PATIENCE_SECONDS, RunningGate, eventually

ROOT = Path(__file__).resolve().parents[3]

APPLICATION = """
import sys, reporter
for number in range(int(sys.argv[1])):
    with reporter.task(data_class="internal", planned="on_device") as task:
        if number % 2:
            task.fell_back("timeout", consent="granted", disclosed=True)
            task.ran_on("managed_cloud", model="big-model-of-nobody")
"""
"""Every second task, from the second on, leaves the device."""


@dataclass(frozen=True, slots=True)
class Done:
    """What a command gave."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """What it printed, as JSON."""
        return json.loads(self.out)


@dataclass(frozen=True, slots=True)
class Place:
    """A device's directory."""

    path: Path

    @property
    def directory(self) -> Directory:
        return Directory(self.path)

    @property
    def environment(self) -> dict[str, str]:
        """For whatever runs on the device."""
        return {**os.environ, VARIABLE: str(self.path), "PYTHONPATH": str(ROOT)}

    def type(self, *words: str, stdin: str = "") -> Done:
        """A command of the agent, in a process of its own."""
        command = [sys.executable, "-m", "reporter", *words]
        done = subprocess.run(
            command,
            input=stdin,
            env=self.environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def init(self, gate: RunningGate, tier: str = "managed", *more: str) -> Done:
        """It is set up for a tier of a gate."""
        return self.type("init", f"{gate.url}/t/{tier}", *more, stdin=f"{gate.tokens[tier]}\n")

    def application(self, tasks: int) -> subprocess.Popen[bytes]:
        """A short application, which may not have ended yet."""
        return subprocess.Popen([sys.executable, "-c", APPLICATION, str(tasks)], env=self.environment, cwd=ROOT)

    @contextmanager
    def agent(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        """An agent that answers."""
        command = [sys.executable, "-m", "reporter", "run", *words]
        process = subprocess.Popen(command, env=self.environment, cwd=ROOT, stderr=subprocess.PIPE, text=True)
        try:
            eventually(lambda: self.status() or process.poll() is not None, "the agent answers")
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(PATIENCE_SECONDS)
            if process.stderr is not None:
                process.stderr.close()

    def status(self) -> Any:
        """What the agent says of itself; None where none answers."""
        return ask(self.directory, STATUS, seconds=1.0)

    def answer(self) -> Any:
        """What an agent that runs says of itself; on a busy machine it may be silent for a while."""
        return eventually(self.status, "the agent answers")
