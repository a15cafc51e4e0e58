"""An S3 server for the tests: moto behind a real socket, with faults on request.

The first line on standard output is the port. The server leaves when its standard input closes,
so a test that is killed leaves nothing behind, or on SIGTERM; the last line on standard error is
then a JSON object: requests, and how many of them each fault hit.

    PYTHONPATH=.servers python3 tests/servers/s3.py --faults 7 --fault-share 0.2 < pipe
"""

import argparse
import hashlib
import io
import json
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server
from werkzeug.test import Client, run_wsgi_app
from werkzeug.wrappers import Response
from werkzeug.wsgi import get_input_stream

FAULTS = (
    "internal_error",  # 500, not executed
    "slow_down",  # 503, not executed
    "torn_upload",  # cut with half of the body read, not executed
    "late_answer",  # executed, answered after the client has given up
    "lost_answer",  # executed, then cut: only the server knows that it was done
)

# Retrying clients must get on: a request is not hit more often than this in a row.
IN_A_ROW = 3


class Atomic:
    """Moto, one request at a time.

    S3 is linearizable. Moto looks at If-Match and If-None-Match first and stores the object later,
    without a lock, so that two creators of one key now and then both win. The lock covers the
    whole store, not a key, since a listing must not see another request half done either.
    """

    def __init__(self, moto: WSGIApplication) -> None:
        """Wraps `moto`."""
        self.moto = moto
        self.lock = threading.Lock()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Executes one request whole, before a byte of the answer goes out."""
        # Read outside the lock: a slow upload holds up nobody else.
        environ["wsgi.input"] = io.BytesIO(get_input_stream(environ).read())
        with self.lock:
            body, status, headers = run_wsgi_app(self.moto, environ, buffered=True)
        start_response(status, headers.to_wsgi_list())
        return body


class Faulty:
    """A store that fails on purpose, by draws keyed by (seed, number of the request)."""

    def __init__(self, store: WSGIApplication, options: argparse.Namespace) -> None:
        """Wraps `store`; `options` are those of the command line."""
        self.store = store
        self.options = options
        self.counts = Counter(dict.fromkeys(("requests", *FAULTS), 0))
        self.in_a_row: Counter[tuple[str, ...]] = Counter()
        self.lock = threading.Lock()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answers one request, or fails it."""
        fault = self.next_fault(environ)
        if fault == "internal_error":
            return refuse(500, "InternalError", environ, start_response)
        if fault == "slow_down":
            return refuse(503, "SlowDown", environ, start_response)
        if fault == "torn_upload":
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0) // 2)
            raise Cut
        answer = self.store(environ, start_response)
        if fault == "lost_answer":
            raise Cut
        if fault == "late_answer":
            time.sleep(self.options.delay)
        return answer

    def next_fault(self, environ: WSGIEnvironment) -> str | None:
        """The fault that hits this request, counted."""
        request = tuple(environ[k] for k in ("REQUEST_METHOD", "PATH_INFO", "QUERY_STRING"))
        with self.lock:
            fault = self.draw(self.counts["requests"])
            self.counts["requests"] += 1
            if fault is None or self.in_a_row[request] == IN_A_ROW:
                del self.in_a_row[request]
                return None
            self.in_a_row[request] += 1
            self.counts[fault] += 1
            return fault

    def draw(self, number: int) -> str | None:
        """The fault of request `number`: each allowed one has an equal part of the share."""
        if self.options.faults is None:
            return None
        digest = hashlib.sha256(f"{self.options.faults}:{number}".encode()).digest()
        uniform = int.from_bytes(digest[:6], "big") / 2**48
        kinds = self.options.fault_kinds
        if uniform >= self.options.fault_share:
            return None
        return kinds[int(uniform / self.options.fault_share * len(kinds))]


def refuse(
    status: int, code: str, environ: WSGIEnvironment, start_response: StartResponse
) -> Iterable[bytes]:
    """An S3 error as the service words it."""
    # A client that is still sending would see a cut connection, not the error.
    get_input_stream(environ).read()
    text = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code></Error>"
    return Response(text, status, mimetype="application/xml")(environ, start_response)


class Cut(ConnectionError):
    """Ends the connection without an answer."""


class Handler(MotoRequestHandler):
    """Moto's handler, without a line for each request, and with cuts."""

    def log_request(self, *_: object) -> None:
        """Says nothing; errors are still logged."""

    def connection_dropped(self, *_: object) -> None:
        """Closes the socket; what was left of the body would be read as the next request."""
        self.close_connection = True


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bucket", default="lake", help="made at the start, in us-east-1")
    parser.add_argument("--faults", type=int, metavar="SEED", help="inject faults by this seed")
    parser.add_argument("--fault-share", type=float, default=0.1, help="of all requests")
    parser.add_argument("--fault-kinds", nargs="+", choices=FAULTS, default=FAULTS)
    parser.add_argument(
        "--delay", type=float, default=5.0, help="seconds of a late answer: over the client's limit"
    )
    return parser.parse_args()


def main() -> None:
    """Serves until standard input closes or a signal comes."""
    options = arguments()
    store = Atomic(DomainDispatcherApplication(create_backend_app))
    made = Client(store).put(f"/{options.bucket}")
    if made.status_code != 200:
        sys.exit(f"bucket {options.bucket} could not be made: {made.text}")
    faulty = Faulty(store, options)
    server = make_server("127.0.0.1", 0, faulty, threaded=True, request_handler=Handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    try:
        sys.stdin.buffer.read()
    finally:
        print(json.dumps(faulty.counts), file=sys.stderr)


if __name__ == "__main__":
    main()
