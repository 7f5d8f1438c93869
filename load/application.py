"""`python -m load.application bare|naive`: one of the applications to compare with, served as the gate is served.

The same uvicorn, uvloop and httptools with the same options as `tidegate.serving`, so that what differs is the
application. Prints one line of JSON with its URL on stdout once it listens.
"""

import contextlib
import json
import socket
import sys

import click
import uvicorn

APPLICATIONS = {"bare": "load.bare:app", "naive": "load.naive:app"}


class _Server(uvicorn.Server):
    """uvicorn, with a word on stdout when it listens."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or ():
            host, port = listener.getsockname()[:2]
            sys.stdout.write(json.dumps({"event": "ready", "url": f"http://{host}:{port}"}) + "\n")
            sys.stdout.flush()


@click.command()
@click.argument("name", type=click.Choice(sorted(APPLICATIONS)))
def main(name: str) -> None:
    """Serve an application on a free port of the loopback interface until SIGTERM or Ctrl-C."""
    config = uvicorn.Config(
        APPLICATIONS[name],
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
    )
    with socket.socket() as listener, contextlib.suppress(KeyboardInterrupt):
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 0))
        _Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
