"""A stand-in for W&B's server on the loopback: enough of its GraphQL for `wandb sweep` and `wandb agent`.

It serves grids. A run that an agent held when it died is handed out again under its own id, as W&B does with
preempted runs.
"""

import itertools
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import yaml


class Sweep:
    """One sweep: what is still to be done, and who does what."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.config = yaml.safe_load(text)
        values = [p.get("values", [p.get("value")]) for p in self.config["parameters"].values()]
        points = [dict(zip(self.config["parameters"], x, strict=True)) for x in itertools.product(*values)]
        self.waiting = [(f"run{i}", point) for i, point in enumerate(points)]
        self.held: dict[str, dict[str, Any]] = {}
        self.given: list[str] = []

    def register(self) -> None:
        """A new agent: what the one before it held is to be done again."""
        self.waiting = [*self.held.items(), *self.waiting]
        self.held.clear()

    def command(self, running: dict[str, bool]) -> list[dict[str, Any]]:
        """What an agent whose runs are `running` shall do next."""
        if running:
            return []
        self.held.clear()  # what it held has ended
        if not self.waiting:
            return [{"type": "exit"}]
        run, point = self.waiting.pop(0)
        self.held[run] = point
        self.given.append(run)
        arguments = {name: {"value": value} for name, value in point.items()}
        return [{"type": "run", "run_id": run, "program": self.config["program"], "args": arguments}]


class Server:
    """Sweeps by their id, and the answers to W&B's client."""

    def __init__(self) -> None:
        self.sweeps: dict[str, Sweep] = {}
        self.url = ""

    def answer(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        if "upsertSweep" in query:
            name = f"sweep{len(self.sweeps)}"
            self.sweeps[name] = Sweep(variables["config"])
            project = {"id": "p", "name": variables["projectName"], "entity": {"id": "e", "name": "me"}}
            sweep = {"name": name, "project": project}
            return {"upsertSweep": {"sweep": sweep, "configValidationWarnings": []}}
        if "createAgent" in query:
            self.sweeps[variables["sweep"]].register()
            return {"createAgent": {"agent": {"id": variables["sweep"]}}}
        if "agentHeartbeat" in query:
            commands = self.sweeps[variables["id"]].command(json.loads(variables["runState"]))
            return {"agentHeartbeat": {"agent": {"id": variables["id"]}, "commands": json.dumps(commands)}}
        if "sweep(sweepName" in query:
            sweep = {"id": variables["sweep"], "config": self.sweeps[variables["sweep"]].text}
            return {"project": {"sweep": sweep | {"runs": {"edges": []}}}}
        viewer = {"id": "u", "username": "me", "entity": "me", "flags": "{}", "teams": {"edges": []}}
        return {"viewer": viewer}


@contextmanager
def serve() -> Iterator[Server]:
    """A server on a free port, until the block ends."""
    server = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            data = {"data": server.answer(request["query"], request.get("variables") or {})}
            body = json.dumps(data).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
