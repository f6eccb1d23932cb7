"""A small HTTP server of a folder, with Range, ETag and the faults that downloads meet.

`/{file}` is served as it should be. A fault stands in front of the file's name:

    /missing/{file}        404
    /busy/{file}           503 at the first request
    /html/{file}           a web page, labelled as one
    /page/{file}           a web page, labelled as binary data
    /wrong/{file}          as many bytes, the first one another
    /gzipped/{file}        labelled as gzip-encoded, as some servers do with .tar.gz files
    /slow/{file}           a pause before each 64 KiB
    /unsized/{file}        without Content-Length
    /truncated/{n}/{file}  the first n bytes, as if they were all
    /reset/{n}/{file}      the connection is reset after n bytes of each answer
    /restart/{n}/{file}    likewise at the first request; after it Range is ignored
    /other/{n}/{file}      likewise at the first request, of a file that differs; there are no ETags
    /misplaced/{n}/{file}  likewise at the first request; after it Range is answered with the first bytes
    /short/{n}/{file}      the connection is closed after n bytes at the first request, as if they were all
    /stalled/{n}/{file}    nothing comes after n bytes of the first answer
    /status/{n}/{file}     always answered with status n
    /once/{n}/{file}       answered with status n at the first request
    /moved/{file}          a redirect to the file
    /circle/{file}         a redirect to itself
    /endless/{file}        the file over and over, without Content-Length
    /chaos/{n}/{file}      faults drawn with seed n for the first three requests, one after the other
"""

import random
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PAGE = b"<!DOCTYPE html>\n<html><body>We have moved.</body></html>\n"
PIECE = 1 << 16
PAUSE = 0.02  # seconds
STALL = 2.0  # seconds
CHAOS = ("reset", "restart", "other", "misplaced", "short", "status", "unsized", "html", "slow", "")


@dataclass(frozen=True)
class Request:
    """What was asked for: the path, and the headers that make a request resume."""

    path: str
    range: str | None
    if_range: str | None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, *arguments: object, folder: Path, log: list[Request]) -> None:
        self.folder, self.log = folder, log
        super().__init__(*arguments)  # type: ignore[arg-type]

    def log_message(self, format: str, *values: object) -> None:
        """Tests read the list of requests, not the terminal."""

    def do_GET(self) -> None:
        """Answer one request."""
        first = all(request.path != self.path for request in self.log)
        self.log.append(Request(self.path, self.headers["Range"], self.headers["If-Range"]))
        parts = re.fullmatch(r"/(?:(\w+)/)?(?:(\d+)/)?([^/]+)", self.path)
        if parts is None:
            self._send(404, b"not here")
            return
        fault, n, name = parts[1] or "", int(parts[2] or 0), parts[3]
        path = self.folder / name
        if fault == "chaos":
            fault, n, first = self._drawn(n, path.stat().st_size)
        if fault == "missing" or not path.is_file():
            self._send(404, b"not here")
        elif fault == "busy" and first:
            self._send(503, b"later")
        elif fault == "status" or (fault == "once" and first):
            self._send(n, b"no")
        elif fault in ("moved", "circle"):
            self._send(302, b"", {"Location": f"/{name}" if fault == "moved" else self.path})
        elif fault in ("html", "page"):
            self._send(200, PAGE, {"Content-Type": "text/html" if fault == "html" else "application/octet-stream"})
        else:
            self._send_file(path.read_bytes(), fault, n, first)

    def _drawn(self, seed: int, size: int) -> tuple[str, int, bool]:
        """The fault of this request, its number, and whether it counts as the first one."""
        asked = sum(request.path == self.path for request in self.log)
        rng = random.Random(f"{seed}/{asked}")
        if asked > 3:
            return "", 0, False
        fault = rng.choice(CHAOS)
        return fault, rng.choice((429, 500, 503)) if fault == "status" else rng.randrange(1, size), rng.random() < 0.7

    def _send_file(self, content: bytes, fault: str, n: int, first: bool) -> None:
        if fault == "truncated":
            content = content[:n]
        if fault == "endless":
            content *= 100
        if fault == "wrong" or (fault == "other" and first):
            content = bytes([content[0] ^ 0xFF]) + content[1:]
        headers = {"Content-Type": "application/octet-stream"}
        if fault != "other":
            headers["ETag"] = f'"{len(content)}"'
        if fault == "gzipped":
            headers["Content-Encoding"] = "x-gzip"
        at_first = ("restart", "other", "misplaced", "short", "stalled")
        cut = n if fault == "reset" or (fault in at_first and first) else None
        pause = PAUSE if fault == "slow" else 0
        resumed = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
        same = self.headers["If-Range"] in (None, headers.get("ETag"))
        if not resumed or not same or fault == "restart":
            self._send(200, content, headers, cut, pause, sized=fault not in ("unsized", "endless"), fault=fault)
            return
        start = 0 if fault == "misplaced" else int(resumed[1])
        headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self._send(206 if start < len(content) else 416, content[start:], headers, cut, pause, fault=fault)

    def _send(
        self,
        status: int,
        content: bytes,
        headers: dict[str, str] | None = None,
        cut: int | None = None,
        pause: float = 0,
        sized: bool = True,
        fault: str = "",
    ) -> None:
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        if sized:
            self.send_header("Content-Length", str(len(content)))
        else:
            self.send_header("Connection", "close")
        self.end_headers()
        for start in range(0, len(content), PIECE):
            time.sleep(pause)
            self.wfile.write(content[start : min(start + PIECE, len(content) if cut is None else cut)])
            if cut is not None and start + PIECE >= cut:
                self._break_off(fault)
                return

    def _break_off(self, fault: str) -> None:
        """Close, where it is a reset so that the other side sees "connection reset by peer" once it has read."""
        self.wfile.flush()
        self.close_connection = True
        if fault in ("short", "stalled"):
            time.sleep(STALL if fault == "stalled" else 0)
            return
        time.sleep(5 * PAUSE)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Connections that a fault or the client broke off are nothing to report."""


@contextmanager
def serve(folder: Path, *, port: int = 0, log: list[Request] | None = None) -> Iterator[str]:
    """Serve a folder on this machine while the block runs.

    Args:
        folder: Its files are served.
        port: 0 takes any free one.
        log: Filled with the requests as they come.

    Yields:
        The base URL, without a slash at its end.
    """
    handler = partial(_Handler, folder=folder, log=[] if log is None else log)
    with _Server(("127.0.0.1", port), handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
