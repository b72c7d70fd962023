"""The first file: loads as it is, its examples load too, and discovery asks only this host, shortly."""

from __future__ import annotations

import http.server
import json
import socket
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.config.load import load, load_text
from engine.config.starter import Found, discover, host_zone, starter, write_starter

KINDS = frozenset({"airflow", "local"})


@contextmanager
def serving(answers: dict[str, object]) -> Iterator[tuple[str, int]]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(answers.get(self.path)).encode()
            self.send_response(200 if self.path in answers else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield "127.0.0.1", server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def closed_port() -> tuple[str, int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return "127.0.0.1", probe.getsockname()[1]


def test_it_loads_as_it_is_and_watches_nothing() -> None:
    config = load_text(starter(), kinds=KINDS)
    assert (config.sources, config.jobs, config.routes) == ((), (), ())
    assert config.timezone == host_zone()


def test_its_examples_load_when_the_marks_are_taken_off() -> None:
    lines = [
        line[1:] if line.startswith("#") and not line.startswith("# ") else line for line in starter().splitlines()
    ]
    config = load_text("\n".join(lines), kinds=KINDS)
    assert [s.name for s in config.sources] == ["prod-airflow", "local"]
    assert [j.name for j in config.jobs] == ["load-sales"]
    assert [r.to for r in config.routes] == [("ana",)]
    assert [(e.on, e.type, e.due) for e in config.expectations] == [("prod-airflow:sales_daily", "finish_by", 360)]
    assert config.warnings == ()


def test_what_is_found_is_in_it_and_what_cannot_be_watched_is_a_comment() -> None:
    with (
        serving({"/api/v2/version": {"version": "3.3.2"}}) as airflow,
        serving({"/api/v1/status/buildinfo": {"data": {"version": "2.55\u001b"}}}) as prometheus,
    ):
        found = discover(airflow, prometheus, KINDS)
    assert [f.kind for f in found if f.kind != "systemd"] == ["airflow", "prometheus", "host"]
    airflow_found = found[0]
    assert (
        airflow_found.words
        == f"Airflow 3.3.2 on 127.0.0.1:{airflow[1]}: set AIRFLOW_PASSWORD where the engine is started"
    )
    text = starter(found)
    assert "\x1b" not in text
    config = load_text(text, kinds=KINDS)
    (source,) = config.sources
    assert (source.name, source.url, source.protected) == ("airflow", f"http://127.0.0.1:{airflow[1]}", False)
    assert '# kind = "prometheus"' in text
    with_prometheus = [Found(f.kind, f.words, f.toml) for f in found if f.kind == "prometheus"]
    assert [s.kind for s in load_text(starter(with_prometheus), kinds={"prometheus"}).sources] == ["prometheus"]


@pytest.mark.parametrize("answers", [{}, {"/api/v2/version": "hello"}, {"/api/v2/version": {"version": 3}}])
def test_another_server_on_that_port_is_not_taken_for_airflow(answers: dict[str, object]) -> None:
    with serving(answers) as where:
        assert [f.kind for f in discover(where, where, KINDS) if f.kind != "systemd"] == ["host"]


def test_nobody_there_and_a_server_that_never_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        found = discover(silent.getsockname()[:2], closed_port(), KINDS)
        assert time.monotonic() - began < 3
    assert [f.kind for f in found if f.kind != "systemd"] == ["host"]


def test_an_existing_file_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "new" / "watchfloor.toml"
    assert write_starter(file) is True
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert load(file).sources == ()
    file.write_text("mine")
    assert write_starter(file) is False
    assert file.read_text() == "mine"


def test_the_zone_of_the_host(tmp_path: Path) -> None:
    link = tmp_path / "localtime"
    link.symlink_to("/usr/share/zoneinfo/Europe/Paris")
    assert host_zone(link) == "Europe/Paris"
    assert host_zone(tmp_path / "none") == "UTC"
