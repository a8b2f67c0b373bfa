"""The metadata server of an ECS task, as Amazon ECS runs one beside every container."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

REGION, ZONE = "us-east-1", "us-east-1a"


def container(address: str, mode: str = "awsvpc") -> dict[str, Any]:
    """What a container is told of itself."""
    return {"DockerId": "cd189a933e5849daa93386466019ab50-2495160603", "Name": "cauce"} | {
        "Networks": [{"NetworkMode": mode, "IPv4Addresses": [address], "IPv4SubnetCIDRBlock": "10.0.0.0/20"}]
    }


def task(zone: str | None = ZONE) -> dict[str, Any]:
    """What it is told of its task."""
    arn = f"arn:aws:ecs:{REGION}:111122223333:task/default/e9028f8d5d8e4f258373e7b93ce9a3c3"
    return {"Cluster": "default", "TaskARN": arn, "LaunchType": "FARGATE"} | (
        {} if zone is None else {"AvailabilityZone": zone}
    )


@contextmanager
def metadata_server(answers: Mapping[str, Any]) -> Iterator[str]:
    """Serve JSON by path below the address that this gives; what ECS_CONTAINER_METADATA_URI_V4 holds."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = answers.get(self.path.removeprefix("/v4/abc"))
            body = json.dumps(found).encode()
            self.send_response(404 if found is None else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v4/abc"
    finally:
        server.shutdown()
        server.server_close()
