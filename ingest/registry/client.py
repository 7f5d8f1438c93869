"""A client of a schema registry, for the three calls that a gate makes: look up, register, read back.

The REST API is Confluent's, which other registries offer too. The standard library's HTTP is enough
(docs/adr/0015-framings.md). Everything is bounded: a call, all calls together, an answer. A redirect is refused, for it
would carry the password to another host.

The times of sockets bound a step of a call only, and a server that sends a byte now and then takes steps without end.
So a call goes on in a thread of its own, which whoever waits for it leaves behind when the time is over.
"""

import base64
import json
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from schemas.framing import id_reference
from schemas.report_schema import crc_64_avro

CALL_SECONDS = 5.0
ALL_SECONDS = 30.0
"""For the sixty-odd calls of a start; a registry on the same network answers each within milliseconds."""

MAX_ANSWER = 1 << 20
CHUNK = 1 << 16
MAX_SAID = 300
"""Characters of a registry's own words that are passed on to the operator."""

MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"
NOT_THERE = 404

SchemaDocument = dict[str, Any]


class RegistryFailed(Exception):
    """The registry did not do what was asked; the message says what happened, `fix` what to do."""

    def __init__(self, problem: str, *, fix: str) -> None:
        super().__init__(problem)
        self.fix = fix


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the registry asks for by HTTP Basic authentication."""

    username: str
    password: str = field(repr=False)


class RegistryClient:
    """Calls block: use a thread. `url` is the API's base, such as `https://registry:8081`; raises `ValueError`."""

    def __init__(
        self, url: str, *, credentials: Credentials | None = None, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        if not _is_base(url):
            # The URL itself is not repeated: what is wrong with it may be that it holds a password.
            raise ValueError(
                "the URL of a schema registry is http(s)://host[:port][/path], without user, query or fragment"
            )
        self.url = url.rstrip("/")
        self._headers = {"Content-Type": MEDIA_TYPE, "Accept": f"{MEDIA_TYPE}, application/json"} | _basic(credentials)
        self._monotonic = monotonic
        self._opener = build_opener(_NoRedirect)

    def register_all(self, schemas: Sequence[tuple[str, SchemaDocument]]) -> list[int]:
        """The ids of (subject, schema), in this order; raises `RegistryFailed`."""
        deadline = self._monotonic() + ALL_SECONDS
        ids = []
        for subject, document in schemas:
            ids.append(self._registered(subject, document, deadline))
        return ids

    def _registered(self, subject: str, document: SchemaDocument, deadline: float) -> int:
        """The id of a schema in `subject`, which is registered there first unless it is already."""
        body = {"schema": json.dumps(document)}
        place = f"/subjects/{quote(subject, safe='')}"
        found = self._call("POST", place, body, deadline=deadline)
        if found is None:
            found = self._call("POST", f"{place}/versions", body, deadline=deadline)
        schema_id = _id_of(found, subject)
        # Read back as a consumer will: another schema would make every value unreadable for it.
        answer = self._call("GET", f"/schemas/ids/{schema_id}", None, deadline=deadline)
        _require_same(answer, schema_id, document, subject)
        return schema_id

    def _call(self, method: str, path: str, body: Any, *, deadline: float) -> Any:
        """The JSON document of an answer; None where there is no such subject, version or schema."""
        seconds = min(CALL_SECONDS, deadline - self._monotonic())
        if seconds <= 0:
            raise RegistryFailed(f"it took more than {ALL_SECONDS:.0f} s for all schemas", fix=REACHABLE)
        answered: Future[Any] = Future()

        def call() -> None:
            try:
                answered.set_result(self._answer(method, path, body, seconds=seconds))
            except BaseException as error:  # noqa: BLE001  # raised where it is waited for
                answered.set_exception(error)

        threading.Thread(target=call, name="registry call", daemon=True).start()
        try:
            return answered.result(seconds)
        except TimeoutError:
            raise RegistryFailed(f"cannot be reached: no whole answer within {seconds:.3g} s", fix=REACHABLE) from None

    def _answer(self, method: str, path: str, body: Any, *, seconds: float) -> Any:
        """As `_call`, with that time for each step."""
        ends = time.monotonic() + seconds
        data = None if body is None else json.dumps(body).encode()
        request = Request(self.url + path, data, self._headers, method=method)  # noqa: S310  # http(s), see above
        try:
            with self._opener.open(request, timeout=seconds) as answer:
                return json.loads(_read(answer, ends))
        except HTTPError as error:
            with error:
                if error.code == NOT_THERE and method == "POST" and not path.endswith("/versions"):
                    return None
                raise _refused(error, path, ends) from None
        except (OSError, HTTPException) as error:
            raise RegistryFailed(f"cannot be reached: {_reason(error)}", fix=REACHABLE) from None
        except ValueError:  # it carries what was answered
            raise RegistryFailed(f"{method} {path} was not answered with JSON", fix=REACHABLE) from None


REACHABLE = "check schema_registry, and that the registry answers; then start again, or send SIGHUP again"


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _is_base(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # a port, or brackets, that are none; it repeats them
        return False
    known = parts.scheme in ("http", "https") and bool(parts.hostname) and port != 0
    return known and not any(sign in url for sign in "?#") and "@" not in parts.netloc


def _require_same(answer: Any, schema_id: int, document: SchemaDocument, subject: str) -> None:
    try:
        same = crc_64_avro(json.loads((answer or {})["schema"])) == crc_64_avro(document)
    except Exception:  # noqa: BLE001  # whatever it holds instead of a schema, it is not the one
        same = False
    if not same:
        problem = f"it gives id {schema_id} for {subject}, and another schema than that under this id"
        raise RegistryFailed(problem, fix="look what stands between the gate and the registry")


def _read(answer: Any, ends: float) -> bytes:
    """At most `MAX_ANSWER` bytes; raises `TimeoutError` when the time is over and it goes on."""
    found = bytearray()
    while len(found) < MAX_ANSWER and (part := answer.read1(min(CHUNK, MAX_ANSWER - len(found)))):
        found += part
        if time.monotonic() > ends:
            raise TimeoutError
    return bytes(found)


def _basic(credentials: Credentials | None) -> dict[str, str]:
    if credentials is None:
        return {}
    pair = f"{credentials.username}:{credentials.password}".encode()
    return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}


def _id_of(answer: Any, subject: str) -> int:
    schema_id = answer.get("id") if isinstance(answer, dict) else None
    try:
        id_reference(schema_id)  # type: ignore[arg-type]  # that it is a number is what is asked
    except (TypeError, ValueError, AttributeError):
        raise RegistryFailed(f"it gave no id for {subject}", fix=REACHABLE) from None
    return int(schema_id)  # type: ignore[arg-type]  # as above


def _refused(error: HTTPError, path: str, ends: float) -> RegistryFailed:
    fixes = {
        401: "check schema_registry_username and schema_registry_password_file",
        403: "let this user register schemas under tidegate's subjects, or register them beforehand",
        409: "the subject holds a schema that ours is not compatible with: see who else registers there",
    }
    said = _said(error, ends)
    return RegistryFailed(f"{path} was refused with {error.code}{said}", fix=fixes.get(error.code, REACHABLE))


def _said(error: HTTPError, ends: float) -> str:
    """The registry's own words, on one line and not too many."""
    try:
        message = str(json.loads(_read(error, ends))["message"])
    except (OSError, HTTPException, ValueError, KeyError, TypeError):
        return ""
    return ": " + "".join(character if character.isprintable() else " " for character in message[:MAX_SAID])


def _reason(error: BaseException) -> str:
    reason = getattr(error, "reason", None)
    return str(reason or error.__class__.__name__)
