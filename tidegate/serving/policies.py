"""The policy files in force: read at the start and again on SIGHUP, all of them or none."""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from ingest.log import InDoubt, LogUnavailable
from ingest.telemetry.events import Event
from ingest.telemetry.logs import know, log
from schemas.catalogue import Catalogue, load_catalogue
from schemas.errors import ContractError, Finding, refuse


class PolicyUser(Protocol):
    """Whoever has to do something about new policies."""

    async def prepare(self, catalogue: Catalogue) -> None:
        """Do what must be done before they are in force.

        Raises `ContractError`, `LogUnavailable` or `InDoubt`, and they are not.
        """
        ...

    def adopt(self, catalogue: Catalogue) -> None:
        """Go on under them."""
        ...


class Policies:
    """The catalogue of the policy files of one directory; raises `ContractError` or OSError on construction."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._reloading = asyncio.Lock()
        self.catalogue = load_policies(directory)
        _know(self.catalogue)

    async def reload(self, users: Iterable[PolicyUser]) -> bool:
        """Put the files as they are now in force; if anything is wrong with them the old ones stay, and it is False."""
        # One at a time: of two reloads at once the one that read the older files might end last.
        async with self._reloading:
            try:
                catalogue = await asyncio.to_thread(load_policies, self._directory)
                for user in users:
                    await user.prepare(catalogue)
            except ContractError as error:
                _refused(error.findings)
                return False
            except (LogUnavailable, InDoubt) as error:
                problem, fix = f"the log must have the new schemas first, and it cannot: {error}", "send SIGHUP again"
                _refused([Finding(str(self._directory), 0, problem, fix)])
                return False
            self._put_in_force(catalogue, users)
            return True

    def _put_in_force(self, catalogue: Catalogue, users: Iterable[PolicyUser]) -> None:
        for name in sorted(set(self.catalogue.tiers) - set(catalogue.tiers)):
            log(Event.POLICY_WITHDRAWN, tier=name)
        _know(catalogue)
        self.catalogue = catalogue
        for user in users:
            user.adopt(catalogue)
        for tier in catalogue.tiers.values():
            log(Event.POLICY_RELOADED, tier=tier.name, version=tier.version)


def load_policies(directory: Path) -> Catalogue:
    """The catalogue of the policy files in `directory`; raises `ContractError`."""
    try:
        return load_catalogue(tiers=directory)
    except OSError as error:
        fix = "make it a file that this process may read, or remove it"
        raise refuse(str(error.filename), f"cannot be read: {error.strerror}", fix=fix) from None


def _know(catalogue: Catalogue) -> None:
    know([*catalogue.tiers, *catalogue.latest])


def _refused(findings: Iterable[Finding]) -> None:
    for finding in findings:
        log(Event.POLICY_REFUSED, file=finding.file, line=finding.line, problem=finding.problem, fix=finding.fix)
