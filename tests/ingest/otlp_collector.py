"""A real OTLP collector, as far as a test needs one: an HTTP server on the loopback that keeps what is posted to it."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Collector:
    """What was posted, as (path, body), in order of arrival."""

    def __init__(self, port: int) -> None:
        self.endpoint = f"http://127.0.0.1:{port}"
        self.posts: list[tuple[str, bytes]] = []

    def bodies(self, path: str) -> list[bytes]:
        """The bodies that were posted to `path`."""
        return [body for posted, body in self.posts if posted == path]

    def wait_for(self, arrived: Callable[[], bool]) -> None:
        """Wait until `arrived` holds, for 30 seconds at most."""
        deadline = time.monotonic() + 30
        while not arrived():
            assert time.monotonic() < deadline, "nothing of that kind was posted in time"
            time.sleep(0.01)


@contextmanager
def collector() -> Iterator[Collector]:
    """A collector that listens while the context lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.posts.append((self.path, body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            del args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Collector(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
