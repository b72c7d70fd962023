"""The README's first hour, typed into a real terminal by the script that also writes the transcript of the docs."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent


def record() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_record", ROOT / "docs" / "record.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["docs_record"] = module
    spec.loader.exec_module(module)
    return module


def test_the_demo_is_seen_a_job_stopped_and_a_failure_repaired(tmp_path: Path) -> None:
    transcript = record().demo([sys.executable, "-P", "-m", "tui.cli"], tmp_path)
    assert len(transcript.parts) >= 7
    first, owed, repaired, kept = (transcript.parts[n][2] for n in (0, 1, -2, -1))
    assert "failed   ldz_to_rdv_contracts" in first
    assert re.search(r"owed .*ldz_to_rdv_contracts +if rerun now", owed)
    assert re.search(r"✓ +ok +ldz_to_rdv_contracts", repaired)
    assert re.search(r"met .*ldz_to_rdv_contracts +done", kept)


def test_the_transcript_in_the_docs_shows_both_worlds() -> None:
    text = (ROOT / "docs" / "first-hour.md").read_text()
    assert "## The demo" in text
    assert "rerun-failed" in text
