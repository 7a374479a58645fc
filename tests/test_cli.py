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

from tests.serving import cache, server

SPEC = {"problem": {"name": "logistic-cost"}, "start": [1.0, -1.0], "optimizers": [{"name": "newton"}]}


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "secondorder", *arguments],
        env={**os.environ, "SECONDORDER_CACHE": cache(), **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def check_refusal(done: subprocess.CompletedProcess[str], status: int, said: str) -> None:
    """One line on standard error that says what is wrong, and a status."""
    assert done.returncode == status, done.stderr
    assert re.fullmatch(r"secondorder: .*\n", done.stderr), done.stderr
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
            check_refusal(command("serve", "--port", port), 1, f"port {port} is in use")

    def test_is_the_command_without_a_word(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            check_refusal(command("serve", "--port", str(taken.getsockname()[1])), 1, "in use")

    def test_address_of_another_machine(self):
        check_refusal(command("serve", "--host", "192.0.2.1", "--port", "0"), 1, "192.0.2.1")

    def test_redis_is_not_there_yet(self):
        check_refusal(command("serve", "--port", "0", "--store", "redis://localhost"), 2, "memory|PATH")

    def test_store_in_a_folder_that_is_not_there(self, tmp_path):
        where = str(tmp_path / "nothing" / "runs")
        check_refusal(command("serve", "--port", "0", "--store", where), 1, where)

    def test_setting_that_cannot_be_read(self):
        check_refusal(command("serve", "--port", "0", SECONDORDER_GRACE="long"), 2, "SECONDORDER_GRACE")

    @pytest.mark.parametrize("port", ["-1", "65536", "x"])
    def test_no_port(self, port):
        assert command("serve", "--port", port).returncode == 2


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

    def test_to_standard_output(self, spec):
        assert json.loads(command("run", str(spec)).stdout)["spec"]["problem"]["name"] == "logistic-cost"

    def test_is_what_the_server_streams(self, spec):
        from tests.server.events import run

        recording = json.loads(command("run", str(spec)).stdout)
        with server() as started, httpx.Client(base_url=started.address, timeout=60) as client:
            told = run(client, SPEC)
        ours = [
            (event["id"], event["event"], event["data"]) for event in recording["events"] if event["id"] is not None
        ]
        assert ours == [(frame.id, frame.kind, frame.data) for frame in told if frame.id is not None]

    def test_missing_file(self, tmp_path):
        check_refusal(command("run", str(tmp_path / "nothing.json")), 1, "cannot read")

    def test_folder(self, tmp_path):
        check_refusal(command("run", str(tmp_path)), 1, "cannot read")

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
        check_refusal(command("run", str(spec)), 2, said)

    def test_nowhere_to_write(self, spec, tmp_path):
        check_refusal(command("run", str(spec), "--out", str(tmp_path / "nothing" / "run.json")), 1, "cannot write")
