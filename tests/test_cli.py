"""The command: what it prints, what it writes, and one line for everything that can be wrong."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from secondorder import cli
from secondorder.server import serve
from tests.server.events import run
from tests.serving import cache, server

SPEC = {"problem": {"name": "logistic-cost"}, "start": [1.0, -1.0], "optimizers": [{"name": "newton"}]}


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command as a reader types it."""
    return subprocess.run(
        [sys.executable, "-m", "secondorder", *arguments],
        env={**os.environ, "SECONDORDER_CACHE": cache()},
        capture_output=True,
        text=True,
        timeout=120,
    )


def check_refusal(status: int, said: str, *arguments: str) -> None:
    """Nothing but one line on standard error that says what is wrong, and a status."""
    done = CliRunner().invoke(cli.app, arguments)
    assert done.exit_code == status, done.output
    assert re.fullmatch(r"secondorder: .*\n", done.stderr), done.output
    assert said in done.stderr


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(SPEC))
    return path


class TestServe:
    def test_prints_its_address(self):
        with server() as started:
            assert httpx.get(f"{started.address}/healthz").json()["status"] == "ok"
            assert started.log.startswith("Second Order is at http://127.0.0.1:")

    def test_port_in_use(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = str(taken.getsockname()[1])
            check_refusal(1, f"port {port} is in use", "serve", "--port", port)

    def test_is_the_command_without_a_word(self, monkeypatch):
        def no_port(host: str, port: int) -> None:
            raise OSError(0, f"{host} and {port} were asked for")

        monkeypatch.setattr(serve, "listen", no_port)
        check_refusal(1, "127.0.0.1 and 8000 were asked for")

    def test_address_of_another_machine(self):
        check_refusal(1, "192.0.2.1", "serve", "--host", "192.0.2.1", "--port", "0")

    def test_redis_is_not_there_yet(self):
        check_refusal(2, "memory|PATH", "serve", "--port", "0", "--store", "redis://localhost")

    def test_store_in_a_folder_that_is_not_there(self, tmp_path):
        where = str(tmp_path / "nothing" / "runs")
        check_refusal(1, where, "serve", "--port", "0", "--store", where)

    def test_setting_that_cannot_be_read(self, monkeypatch):
        monkeypatch.setenv("SECONDORDER_GRACE", "long")
        check_refusal(2, "SECONDORDER_GRACE", "serve", "--port", "0")

    @pytest.mark.parametrize("port", ["-1", "65536", "x"])
    def test_no_port(self, port):
        assert CliRunner().invoke(cli.app, ["serve", "--port", port]).exit_code == 2


class TestRun:
    def test_writes_a_recording(self, spec, tmp_path):
        out = tmp_path / "run.json"
        done = command("run", str(spec), "--out", str(out))
        assert done.returncode == 0, done.stderr
        recording = json.loads(out.read_text())
        assert set(recording) == {"id", "spec", "events"}
        assert [event["event"] for event in recording["events"]][:: len(recording["events"]) - 1] == ["run", "end"]
        assert [event["id"] for event in recording["events"] if event["event"] != "clock"] == list(
            range(sum(event["id"] is not None for event in recording["events"]))
        )
        assert "converged" in done.stderr

    def test_to_standard_output_what_the_server_streams(self, spec):
        recording = json.loads(command("run", str(spec)).stdout)
        with server(SECONDORDER_WARM="0") as started, httpx.Client(base_url=started.address, timeout=60) as client:
            told = run(client, SPEC)
        ours = [
            (event["id"], event["event"], event["data"]) for event in recording["events"] if event["id"] is not None
        ]
        assert ours == [(frame.id, frame.kind, frame.data) for frame in told if frame.id is not None]

    def test_missing_file(self, tmp_path):
        check_refusal(1, "cannot read", "run", str(tmp_path / "nothing.json"))

    def test_folder(self, tmp_path):
        check_refusal(1, "cannot read", "run", str(tmp_path))

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("{", "not JSON"),
            (
                '{"problem": {"name": "rosenbrock"}, "optimizers": [{"name": "x"}]}',
                "optimizers[0].name: unknown optimizer",
            ),
        ],
    )
    def test_bad_spec(self, spec, text, said):
        spec.write_text(text)
        check_refusal(2, said, "run", str(spec))

    def test_nowhere_to_write(self, spec, tmp_path):
        check_refusal(1, "cannot write", "run", str(spec), "--out", str(tmp_path / "nothing" / "run.json"))
