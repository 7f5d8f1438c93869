"""What is on a device's disk: identifiers and token in settings.json, which is its owner's alone, and nowhere else.

The values themselves are looked for on every device, all of their encodings and hashes (`load.leaks`) on some.
"""

import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from load.leaks import Scanner

SETTINGS = "settings.json"


def wrong_on_disk(directory: Path, planted: Mapping[str, str]) -> Iterator[str]:
    """What is not as it should be, in words without a value."""
    if stat.S_IMODE(directory.stat().st_mode) != 0o700:
        yield "the directory is not its owner's alone"
    contents = {file.name: file.read_bytes() for file in sorted(directory.iterdir())}
    for name in contents:
        if stat.S_IMODE((directory / name).stat().st_mode) != 0o600:
            yield f"{name} is not its owner's alone"
    for what, value in planted.items():
        places = {name for name, content in contents.items() if value.encode() in content}
        if places != {SETTINGS}:
            yield f"{what} stands in {sorted(places) or 'no file'}"


def hidden_on_disk(directories: Mapping[Path, Mapping[str, str]]) -> Iterator[str]:
    """As above, in any form. What settings.json holds must be found there, or the search would prove nothing."""
    scanner = Scanner(
        {f"{what} {at}": value for at, of_one in enumerate(directories.values()) for what, value in of_one.items()}
    )
    for directory in directories:
        for leak in scanner.scan({file.name: file.read_bytes() for file in _but_settings(directory)}):
            yield f"{leak.planted.partition(' ')[0]} is in {leak.place} as {leak.form}"
    found = scanner.scan({"settings": b"\0".join((directory / SETTINGS).read_bytes() for directory in directories)})
    if len({leak.planted for leak in found}) != sum(map(len, directories.values())):
        yield "the search does not find what stands in settings.json"


def _but_settings(directory: Path) -> Iterable[Path]:
    return (file for file in directory.iterdir() if file.name != SETTINGS)
