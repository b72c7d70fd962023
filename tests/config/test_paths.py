"""Where things lie: user, system, demo, a moved store; and with which modes."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

from engine.config.paths import places


def test_of_a_user(tmp_path: Path) -> None:
    env = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "c"), "XDG_STATE_HOME": str(tmp_path / "s")}
    place = places(env=env)
    state = tmp_path / "s" / "watchfloor"
    assert (place.config, place.config_folder) == (tmp_path / "c/watchfloor/watchfloor.toml", tmp_path / "c/watchfloor")
    assert (place.state, place.store, place.socket, place.lock) == (
        state,
        state / "floor.db",
        state / "engine.sock",
        state / "engine.lock",
    )
    assert (place.runs, place.logs, place.audit, place.engine_log) == (
        state / "runs",
        state / "logs",
        state / "audit.jsonl",
        state / "engine.log",
    )


def test_defaults_and_relative_xdg_is_ignored(tmp_path: Path) -> None:
    place = places(env={"HOME": str(tmp_path), "XDG_STATE_HOME": "rel", "XDG_CONFIG_HOME": ""})
    assert place.config == tmp_path / ".config/watchfloor/watchfloor.toml"
    assert place.state == place.store.parent


def test_of_the_system_and_of_the_demo(tmp_path: Path) -> None:
    env = {"HOME": str(tmp_path)}
    system = places(system=True, env=env)
    assert (system.config, system.state, system.system) == (
        Path("/etc/watchfloor/watchfloor.toml"),
        Path("/var/lib/watchfloor"),
        True,
    )
    demo = places(demo=True, env=env)
    assert demo.state == tmp_path / ".local/state/watchfloor-demo"
    assert demo.config.parent == demo.state
    assert demo.socket != places(env=env).socket


def test_a_file_of_ones_own_and_a_moved_store(tmp_path: Path) -> None:
    env = {"HOME": str(tmp_path)}
    file = tmp_path / "x" / "mine.toml"
    file.parent.mkdir()
    assert places(file, env=env).store == tmp_path / ".local/state/watchfloor/floor.db"  # not there yet
    file.write_text('[store]\npath = "data/floor.db"\n')
    place = places(file, env=env)
    assert (place.config, place.config_folder) == (file, file.parent)
    assert (place.store, place.socket, place.lock) == (
        file.parent / "data/floor.db",
        file.parent / "data/engine.sock",
        file.parent / "data/engine.lock",
    )
    assert place.state == place.store.parent
    file.write_text("[store\n")
    assert places(file, env=env).store == tmp_path / ".local/state/watchfloor/floor.db"


def test_folders_are_for_their_owner_only(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(f'[store]\npath = "{tmp_path}/elsewhere/floor.db"\n')
    place = places(file, env={"HOME": str(tmp_path)})
    place.prepare()
    place.prepare()
    for folder in (place.state, place.runs, place.logs, place.store.parent):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700, folder


def test_a_state_folder_made_by_hand_is_closed(tmp_path: Path) -> None:
    place = places(env={"HOME": str(tmp_path)})
    place.state.mkdir(parents=True)
    place.state.chmod(0o755)
    place.prepare()
    assert stat.S_IMODE(place.state.stat().st_mode) == 0o700


def test_asking_for_places_is_light() -> None:
    code = (
        "import sys; import engine.config.paths as p; p.places();"
        "print([m for m in ('asyncio','adapters.base','engine.config.load','importlib.metadata') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert done.stdout.strip() == "[]"


def test_two_ways_to_one_store_lead_to_one_lock(tmp_path: Path) -> None:
    (tmp_path / "big").mkdir()
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "link.db").symlink_to(tmp_path / "big" / "floor.db")
    found = []
    for folder, path in (("a", "link.db"), ("b", "../big/floor.db")):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "watchfloor.toml").write_text(f'[store]\npath = "{path}"\n')
        found.append(places(tmp_path / folder / "watchfloor.toml", env={"HOME": str(tmp_path)}))
    assert len({(p.store, p.lock, p.socket, p.audit) for p in found}) == 1
    state = tmp_path / ".local/state/watchfloor"
    state.mkdir(parents=True)
    (state / "floor.db").symlink_to(tmp_path / "big" / "floor.db")
    assert places(env={"HOME": str(tmp_path)}).lock == found[0].lock, "the usual place too"


def test_a_folder_for_all_stays_one(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    (tmp_path / "w.toml").write_text('[store]\npath = "shared/floor.db"\n')
    places(tmp_path / "w.toml", env={"HOME": str(tmp_path)}).prepare()
    assert stat.S_IMODE(shared.stat().st_mode) == 0o1777
    assert stat.S_IMODE((shared / "runs").stat().st_mode) == 0o700
