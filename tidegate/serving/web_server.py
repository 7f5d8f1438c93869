"""uvicorn as this process runs it: on a socket of ours, with our signals, and quiet."""

import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn

from ingest.http.protocol import HttpProtocol
from tidegate.settings import Settings

GRACEFUL_SECONDS = 4
"""What uvicorn gives requests under way; with the final outcomes the process ends within 10 s of SIGTERM."""


class WebServer(uvicorn.Server):
    """uvicorn, with our signals instead of its own, and a word to `started` with its URL when it listens."""

    def __init__(self, application: Any, settings: Settings, *, started: Callable[[str], None]) -> None:
        super().__init__(_config(application, settings))
        self._tell_started = started

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Nothing: uvicorn would raise the signal again at the end, and the final outcomes would be lost."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or ():
            self._tell_started(self._url(*listener.getsockname()[:2]))

    def _url(self, host: str, port: int) -> str:
        scheme = "https" if self.config.is_ssl else "http"
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _config(application: Any, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        loop="uvloop",
        http=HttpProtocol,
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        # Unless a proxy is named, X-Forwarded-For is a device's own words.
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies or None,
        ssl_certfile=settings.tls_certificate,
        ssl_keyfile=settings.tls_key,
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
    )


@contextlib.contextmanager
def listening(settings: Settings) -> Iterator[socket.socket]:
    """A socket bound to the settings' address; raises OSError if that cannot be had."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host, settings.port))
        yield listener
