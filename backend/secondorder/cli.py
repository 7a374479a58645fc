"""The command: ``secondorder`` (= ``serve``), ``secondorder run spec.json``.

What a command does not need it does not import: the page should stand before its reader has looked up.
"""

import contextlib
import os
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False, no_args_is_help=False, pretty_exceptions_enable=False, rich_markup_mode=None)


def fail(message: str, code: int = 1) -> typer.Exit:
    """Says on one line what is wrong, and ends the command with a status."""
    typer.echo(f"secondorder: {message}", err=True)
    return typer.Exit(code)


def _has_desktop() -> bool:
    if os.environ.get("SSH_CONNECTION"):
        return False
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _open_page(address: str) -> None:
    import webbrowser

    threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()


@app.callback(invoke_without_command=True)
def start(context: typer.Context) -> None:
    """An explorer of second-order optimization. Without a command: serve."""
    if context.invoked_subcommand is None:
        serve(store=os.environ.get("SECONDORDER_STORE", "memory"))


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="The address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")] = 8000,
    browser: Annotated[bool, typer.Option(help="Open the page where there is a desktop.")] = True,
    store: Annotated[
        str, typer.Option(envvar="SECONDORDER_STORE", help="Where finished runs are kept: memory, or an SQLite file.")
    ] = "memory",
) -> None:
    """Serve the page and print its address."""
    from secondorder.server import serve as server
    from secondorder.server.settings import Settings

    try:
        settings = Settings.from_environment(store=store)
    except ValueError as error:
        raise fail(str(error), 2) from None
    try:
        listener = server.listen(host, port)
    except OverflowError as error:
        raise fail(str(error), 2) from None
    except OSError as error:
        import errno

        if error.errno == errno.EADDRINUSE:
            raise fail(f"port {port} is in use: choose another with --port (0 takes a free one)") from None
        raise fail(f"cannot listen at {host}, port {port}: {error.strerror or error}") from None

    from secondorder.server.store import StoreError, open_store

    try:
        kept = open_store(settings.store, settings.disk)
    except StoreError as error:
        listener.close()
        raise fail(str(error), 2 if "://" in store else 1) from None
    address = server.address(listener)

    def ready() -> None:
        typer.echo(f"Second Order is at {address}  (Ctrl-C ends it)")
        if browser and _has_desktop():
            _open_page(address)

    with contextlib.suppress(KeyboardInterrupt):  # before the server takes it as its signal to end
        server.run(settings, listener, kept, ready)


@app.command()
def run(
    spec: Annotated[
        Path, typer.Argument(help="A spec: a JSON file, as the page's address and POST /api/runs have it.")
    ],
    out: Annotated[Path | None, typer.Option(help="Where the recording goes; standard output where not given.")] = None,
) -> None:
    """Run a spec without a server, and write its recording: {"id", "spec", "events": [{"id", "event", "data"}]}."""
    try:
        body = spec.read_bytes()
    except OSError as error:
        raise fail(f"cannot read {spec}: {error.strerror}") from None

    from secondorder.spec import SpecError, parse

    try:
        read = parse(body)
    except SpecError as error:
        raise fail(f"{spec}: {error.at + ': ' if error.at else ''}{error.message}", 2) from None
    if out is not None and not out.absolute().parent.is_dir():
        raise fail(f"cannot write {out}: there is no folder {out.parent}")

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from secondorder.run import configure, events
    from secondorder.server.settings import Settings
    from secondorder.server.worker import encode

    configure(str(Settings.from_environment().cache))
    told, number = [], 0
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("steps"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bars = [progress.add_task(lane["label"], total=read.steps) for lane in read.lanes[:16]]
        for event in events(read):
            has_id = event.kind != "clock"
            told.append({"id": number if has_id else None, "event": event.kind, "data": event.data})
            number += has_id
            if event.kind == "clock" and event.data["lane"] < len(bars):
                progress.update(bars[event.data["lane"]], completed=event.data["step"])
    recording = {"id": read.id, "spec": read.canonical(), "events": told}
    content = encode(recording)
    try:
        if out is None:
            sys.stdout.buffer.write(content + b"\n")
        else:
            out.write_bytes(content)
    except OSError as error:
        raise fail(f"cannot write {out}: {error.strerror}") from None
    for lane in told[-1]["data"]["lanes"]:
        label = read.lanes[lane["lane"]]["label"]
        typer.echo(f"{label}: {lane['status']} at step {lane['step']}, {lane['reason']}", err=True)


def main() -> None:
    """The entry point."""
    app()
