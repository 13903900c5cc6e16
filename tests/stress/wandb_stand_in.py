"""A stand-in for W&B's server on the loopback that takes runs, or fails in one of the ways servers fail."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SLOW = 3.0  # seconds before each answer of a slow server
VIEWER = {"id": "u", "username": "me", "entity": "me", "flags": "{}", "teams": {"edges": []}}
FAULTS = ("none", "silent", "slow", "nonsense", "401", "403", "500")


class StandIn:
    """What a server does, and what it has been given.

    Args:
        fault: `none`; `silent` never answers; `slow` answers late; `nonsense` answers without data; or the
            HTTP status of every answer.
        until: The last query that is still answered well, such as Viewer for the login, or none.
    """

    def __init__(self, fault: str = "none", until: str = "") -> None:
        assert fault in FAULTS
        self.fault, self.until, self.failing = fault, until, not until
        self.url = ""
        self.rows: set[int] = set()  # the rows of the run's history that have arrived
        self.ended = threading.Event()  # releases silent and slow answers

    def answer(self, path: str, body: bytes) -> tuple[int, Any]:
        """Status and content for a request."""
        query, variables = _graphql(path, body)
        fault = self.fault if self.failing else "none"
        self.failing |= bool(self.until) and self.until in query
        if fault in ("silent", "slow"):
            self.ended.wait(None if fault == "silent" else SLOW)
        if fault.isdigit():
            return int(fault), {"error": "no"}
        if fault == "nonsense":
            return 200, {"data": {}}
        if path.endswith("/file_stream"):
            self._receive(json.loads(body))
            return 200, {}
        return 200, {"data": self._data(query, variables)}

    def _receive(self, content: dict[str, Any]) -> None:
        history = content.get("files", {}).get("wandb-history.jsonl", {})
        first = history.get("offset", 0)
        self.rows |= set(range(first, first + len(history.get("content", ()))))

    def _data(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        if "UpsertBucket" in query:
            name = variables["name"] or variables["id"]
            project = {"id": "p", "name": "meta_rl", "entity": {"id": "e", "name": "me"}}
            bucket = {"id": name, "name": name, "displayName": name, "config": "{}", "project": project}
            return {"upsertBucket": {"bucket": bucket | {"historyLineCount": 0}, "inserted": True}}
        if "CreateRunFiles" in query:
            files = [{"name": name, "uploadUrl": f"{self.url}/{name}"} for name in variables["files"]]
            return {"createRunFiles": {"runID": variables["run"], "uploadHeaders": [], "files": files}}
        return {"viewer": VIEWER}


def _graphql(path: str, body: bytes) -> tuple[str, dict[str, Any]]:
    if "/graphql" not in path:
        return "", {}
    request = json.loads(body)
    return request["query"], request.get("variables") or {}


@contextmanager
def serve(stand_in: StandIn) -> Iterator[StandIn]:
    """Answer on a free port, until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, content = stand_in.answer(self.path, body)
            text = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PUT = handle_any

        def log_message(self, format: str, *args: Any) -> None:
            pass

    http = _Server(("127.0.0.1", 0), Handler)
    stand_in.url = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever)
    thread.start()
    try:
        yield stand_in
    finally:
        stand_in.ended.set()
        http.shutdown()
        http.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has gone is no news."""
