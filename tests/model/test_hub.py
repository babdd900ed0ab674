"""A checkpoint's name instead of its folder: a real, small hub on this machine."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from forearm.errors import CheckpointError
from forearm.model.hub import find

COMMIT = "c" * 40
FILES = {"config.json": b"{}", "model.safetensors": b"weights", "modeling.py": b"raise SystemExit"}


class Hub(BaseHTTPRequestHandler):
    """Answers what the hub's client asks for one repository."""

    def do_HEAD(self) -> None:  # the standard library's name
        name = self.path.rpartition("/")[2]
        self.send_response(200)
        self.send_header("Content-Length", str(len(FILES[name])))
        self.send_header("ETag", f'"{name}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path.startswith("/owner/name/resolve/"):
            body = FILES[path.rpartition("/")[2]]
        elif path.startswith("/api/models/owner/name/tree/"):
            body = json.dumps(
                [{"type": "file", "path": name, "size": len(each), "oid": name} for name, each in FILES.items()]
            ).encode()
        elif path.startswith("/api/models/owner/name"):
            siblings = [{"rfilename": name} for name in FILES]
            body = json.dumps({"id": "owner/name", "sha": COMMIT, "siblings": siblings}).encode()
        else:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_name_is_a_downloaded_folder_without_its_program_code(hub: str, tmp_path: Path) -> None:
    folder = find("owner/name", hub=hub, cache=tmp_path)
    assert {each.name: each.read_bytes() for each in folder.iterdir()} == {
        "config.json": b"{}",
        "model.safetensors": b"weights",
    }


def test_a_folder_is_itself_and_a_path_that_is_none_is_left_to_whoever_reads_it(tmp_path: Path) -> None:
    assert find(tmp_path) == tmp_path
    assert find("a/path/that/is/not") == Path("a/path/that/is/not")


def test_a_name_that_no_hub_has_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="got 'owner/none', allowed is a folder here or a name on a hub"):
        find("owner/none", hub="http://127.0.0.1:9", cache=tmp_path)
