"""Asking a running Tidegate over HTTP: the request, and what its refusals mean to a person."""

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPMessage, HTTPResponse, IncompleteRead
from typing import IO, Any

import click

from aggregators.answering.problems import Refusal

REQUEST_SECONDS = 60.0
"""More than an answer may take, and the time that it waits for its turn."""

MAX_PROBLEM = 64 * 1024
PIECE = 64 * 1024


class WrongQuestion(click.ClickException):
    """The server wants another question, as any command would that is used wrongly."""

    exit_code = 2


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect would take the token along to wherever it leads."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        del req, fp, code, msg, headers, newurl


@dataclass(frozen=True, slots=True)
class AnswersClient:
    """One Tidegate, and the token that it is asked with."""

    url: str
    token: str = field(repr=False)

    @contextmanager
    def get(self, path: str, query: Sequence[tuple[str, str]] = (), *, accept: str) -> Iterator[HTTPResponse]:
        """The response to a GET of `path`, whose body is still to be read; raises `click.ClickException`."""
        encoded = f"?{urllib.parse.urlencode(query)}" if query else ""
        request = urllib.request.Request(  # noqa: S310 - `checked_url` lets http and https pass
            f"{self.url}{path}{encoded}", headers={"Authorization": f"Bearer {self.token}", "Accept": accept}
        )
        try:
            response = urllib.request.build_opener(_NoRedirects).open(request, timeout=REQUEST_SECONDS)
        except urllib.error.HTTPError as error:
            with error:
                raise self._refusal(error) from None
        except (OSError, HTTPException) as error:
            raise self._silent(error) from None
        with response:
            yield response

    def body(self, response: HTTPResponse) -> Iterator[bytes]:
        """The body in pieces; raises `click.ClickException` where it ends too early."""
        try:
            while piece := response.read(PIECE):
                yield piece
            if response.length:  # a body that is cut off raises by itself only where it comes in chunks
                raise IncompleteRead(b"", response.length)
        except (OSError, HTTPException) as error:
            raise self._silent(error) from None

    def document(self, path: str, query: Sequence[tuple[str, str]] = ()) -> dict[str, Any]:
        """The JSON that a GET of `path` gives."""
        with self.get(path, query, accept="application/json") as response:
            return self._object(b"".join(self.body(response)))

    def _silent(self, error: Exception) -> click.ClickException:
        why = getattr(error, "reason", None) or str(error) or type(error).__name__
        return click.ClickException(
            f"no answer from {self.url} ({why}); is `tidegate serve` running there, and is --url right?"
        )

    def _refusal(self, error: urllib.error.HTTPError) -> click.ClickException:
        document = self._object(error.read(MAX_PROBLEM), status=error.code)
        told = [str(document.get("title", f"refused with status {error.code}"))]
        told += [str(document["detail"])] if "detail" in document else []
        offered = [] if told[-1].startswith("known: ") else document.get("offered", [])
        told += [f"There is: {'; '.join(_offer(one) for one in offered)}"] if offered else []
        wrong = error.code in (400, 406) or document.get("reason") == Refusal.UNKNOWN_MEASURE.value
        return (WrongQuestion if wrong else click.ClickException)("\n".join(told))

    def _object(self, body: bytes, *, status: int = 200) -> dict[str, Any]:
        try:
            document = json.loads(body)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise click.ClickException(f"{self.url} answers with status {status} and is no Tidegate; is --url right?")
        return document


def checked_url(text: str) -> str:
    """The URL of a Tidegate without its last slash; raises `click.BadParameter`."""
    parts = urllib.parse.urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
        raise click.BadParameter("write it as http://HOST:PORT or https://HOST", param_hint="--url")
    return text.rstrip("/")


def _offer(one: Any) -> str:
    return ",".join(map(str, one)) or "(nothing)" if isinstance(one, list) else str(one)
