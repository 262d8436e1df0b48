"""A downloader for pooch that goes on where it stopped: HTTP ranges, retries, stored bytes only.

The bytes gather in ``part``, which survives an interruption; pooch gets the file when it is whole
and checks its hash. A started part is continued only if the server confirms that it still offers
the same file (``If-Range`` with its ETag or date), or if a known hash will judge the result.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from errno import ENOSPC
from pathlib import Path
from typing import Any

import requests
from tqdm import tqdm
from urllib3.exceptions import HTTPError

from medkd_lib import __version__
from medkd_lib.data.archive import no_space
from medkd_lib.data.problems import DataError, bad

BLOCK = 1 << 20
TRY_AGAIN = {408, 425, 429, 500, 502, 503, 504}
HEADERS = {"User-Agent": f"medkd/{__version__}", "Accept-Encoding": "identity"}
LONGEST_PAUSE_S = 60.0


class _LaterError(Exception):
    """The server is busy or broke off; ``pause_s`` is what it asked for, if it did."""

    def __init__(self, reason: str, pause_s: float | None = None) -> None:
        self.pause_s = pause_s
        super().__init__(reason)


@dataclass
class ResumingDownload:
    """One file on its way; call it as pooch calls its downloaders.

    Attributes:
        part: where the bytes gather; the file beside it with the suffix ``.tag`` says of which
            version of the remote file they are.
        has_hash: a known hash will judge the result, so a part without a tag may be continued.
        bytes: size stated in the manifest; another answer is refused before it is fetched.
        progress: draw a bar on stderr.
        attempts: how many times in a row without a new byte.
        pause_s: the first pause; it doubles.
    """

    part: Path
    has_hash: bool
    bytes: int | None = None
    progress: bool = False
    attempts: int = 5
    pause_s: float = 1.0
    timeout_s: tuple[float, float] = (15.0, 60.0)
    sleep: Callable[[float], None] = time.sleep

    def __call__(self, url: str, output_file: str, _: object = None) -> None:
        """Fetch ``url`` into ``output_file``.

        Raises:
            DataError: kinds ``no_connection``, ``refused_by_server``, ``wrong_size``, ``no_space``.
        """
        farthest, vain = self._here(), 0
        while True:
            try:
                self._go_on(url)
                break
            except (_LaterError, requests.ConnectionError, requests.Timeout, HTTPError) as error:
                # Only new bytes count: a server that always breaks off at one place is given up.
                vain = vain + 1 if self._here() <= farthest else 1
                farthest = max(farthest, self._here())
                if vain >= self.attempts:
                    raise bad(
                        "no_connection", url, expected="the whole file",
                        found=f"{error} ({vain} attempts in vain, {self._here():,} bytes here)",
                        next_step="try again later: it goes on from there; or fetch it by other "
                        "means and use --from",
                    ) from error  # fmt: skip
                asked = error.pause_s if isinstance(error, _LaterError) else None
                self.sleep(min(asked or self.pause_s * 2 ** (vain - 1), LONGEST_PAUSE_S))
            except requests.RequestException as error:
                raise self._refused(url, str(error)) from error
        self.part.replace(output_file)
        self._tag.unlink(missing_ok=True)

    @property
    def _tag(self) -> Path:
        return self.part.with_name(self.part.name + ".tag")

    def _here(self) -> int:
        return self.part.stat().st_size if self.part.is_file() else 0

    def _go_on(self, url: str) -> None:
        tag = self._tag.read_text(encoding="ascii") if self._tag.is_file() else ""
        start = self._here() if tag or self.has_hash else 0
        wanted = {"Range": f"bytes={start}-"} | ({"If-Range": tag} if tag else {}) if start else {}
        with requests.get(
            url, headers=HEADERS | wanted, stream=True, timeout=self.timeout_s
        ) as answer:
            if answer.status_code == requests.codes.requested_range_not_satisfiable and start:
                if answer.headers.get("Content-Range") == f"bytes */{start}":
                    return  # it was whole already
                self.part.unlink()
                raise _LaterError("the part here is longer than the file there")
            self._check(url, answer)
            if answer.status_code != requests.codes.partial_content:
                start = 0  # no ranges here, or another version: from the beginning
            elif not answer.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
                self.part.unlink()
                raise _LaterError(f"asked from byte {start}, got another range")
            length = answer.headers.get("Content-Length")
            total = start + int(length) if length else None
            if self.bytes is not None and total not in (None, self.bytes):
                raise bad(
                    "wrong_size", url, expected=f"{self.bytes:,} bytes", found=f"{total:,}",
                    next_step="another release, or a login page; compare the manifest with "
                    "the page of the dataset",
                )  # fmt: skip
            self._store(answer, start, total)

    def _check(self, url: str, answer: requests.Response) -> None:
        if answer.status_code in TRY_AGAIN:
            asked = answer.headers.get("Retry-After", "")
            raise _LaterError(
                f"{answer.status_code} {answer.reason}", float(asked) if asked.isdigit() else None
            )
        if not answer.ok:
            raise self._refused(url, f"{answer.status_code} {answer.reason}")

    def _refused(self, url: str, found: str) -> DataError:
        return bad(
            "refused_by_server", url, expected="the file", found=found,
            next_step="look on the page of the dataset whether it has moved or wants a login",
        )  # fmt: skip

    def _store(self, answer: requests.Response, start: int, total: int | None) -> None:
        headers = answer.headers
        strong = headers.get("ETag", "")
        tag = strong if strong.startswith('"') else headers.get("Last-Modified", "")
        self._tag.write_text(tag, encoding="ascii", errors="ignore")
        bar: Any = tqdm(
            total=total, initial=start, unit="B", unit_scale=True, unit_divisor=1000,
            desc=self.part.name.removesuffix(".part"), disable=not self.progress, leave=False,
        )  # fmt: skip
        try:
            with bar, self.part.open("ab" if start else "wb") as sink:
                # As stored: a server that labels x.nii.gz as "gzip-encoded" must not unpack it.
                for block in answer.raw.stream(BLOCK, decode_content=False):
                    sink.write(block)
                    bar.update(len(block))
        except OSError as error:
            if error.errno == ENOSPC:
                raise no_space(self.part, "room for the file", str(error)) from error
            raise
        if total is not None and self._here() != total:
            raise _LaterError(f"{self._here():,} of {total:,} bytes came")
