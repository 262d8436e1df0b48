"""A host on the loopback device that can misbehave, and a manifest that points to it."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from medkd_lib.data.manifest import Manifest


@dataclass
class Host:
    """What the server offers and how it behaves; ``seen`` lists every request.

    Attributes:
        files: path → bytes.
        answers: status codes to give first, one per request, before the file is sent.
        cut_after: break the connection after so many bytes of the body.
        ranges: whether `Range` is honoured; ``tag``: the ETag, "" for none.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    answers: list[int] = field(default_factory=list)
    cut_after: int | None = None
    cuts: int = 1_000
    ranges: bool = True
    tag: str = '"v1"'
    encoding: str = ""
    length: bool = True
    seen: list[tuple[str, str]] = field(default_factory=list)
    encodings: list[str] = field(default_factory=list)
    address: str = ""

    def url(self, name: str) -> str:
        return f"{self.address}/{name}"


class _Handler(BaseHTTPRequestHandler):
    host: Host

    def do_GET(self) -> None:
        host, path = self.host, self.path.lstrip("/")
        asked = self.headers.get("Range", "")
        host.seen.append((path, asked))
        host.encodings.append(self.headers.get("Accept-Encoding", ""))
        if host.answers and (status := host.answers.pop(0)) != 200:
            self.send_response(status)
            self.send_header("Retry-After", "7")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if path.startswith("moved/"):
            self.send_response(302)
            self.send_header("Location", "/" + path.removeprefix("moved/"))
            self.end_headers()
            return
        if path not in host.files:
            self.send_error(404)
            return
        self._send(host, host.files[path], asked)

    def _send(self, host: Host, body: bytes, asked: str) -> None:
        start = 0
        same = self.headers.get("If-Range", host.tag) == host.tag
        if asked and host.ranges and same:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(body):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(body)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            self.send_response(200)
        if host.tag:
            self.send_header("ETag", host.tag)
        if host.encoding:
            self.send_header("Content-Encoding", host.encoding)
        if host.length:
            self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        rest = body[start:]
        if host.cut_after is not None and host.cuts > 0:
            host.cuts -= 1
            rest = rest[: host.cut_after]
            self.close_connection = True
        self.wfile.write(rest)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serve() -> Iterator[Host]:
    host = Host()
    handler = type("Handler", (_Handler,), {"host": host})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    host.address = f"http://{server.server_address[0]!s}:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield host
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def fact(host: Host, name: str, *, hashed: bool = True, **other: Any) -> dict[str, Any]:
    """A file of the host as a manifest states it."""
    out: dict[str, Any] = {"name": name, "url": host.url(name), **other}
    if hashed and "hash" not in out:
        out["hash"] = f"md5:{hashlib.md5(host.files[name]).hexdigest()}"
    if "hash" in out:
        out["hash_source"] = "the test"
    return out


def manifest(*files: dict[str, Any], **other: Any) -> Manifest:
    """A small manifest with one HTTP download of ``files``; ``other`` replaces its fields."""
    content: dict[str, Any] = {
        "schema_version": "1.0", "id": "toy", "title": "Toy set", "version": "1",
        "retrieved": None, "homepage": None, "doi": None, "citation": ["Toy et al. 2026"],
        "licence": {"spdx": "CC-BY-4.0", "name": "CC BY 4.0", "redistribute": True},
        "access": {"level": "open"}, "modality": ["CT"], "task": ["classification"],
        "n_cases": {"patients": 2}, "size_mb": None,
        "download": [{"method": "http", "ref": "toy", "files": list(files)}],
        "layout": {
            "images": {"image": "set/*.png"}, "case_regex": r"(?P<patient>p\d)\.png$",
        },
        "labels": None, "splits": None, "preprocessing": None, "phantom": None,
    }  # fmt: skip
    return Manifest.model_validate(content | other)
