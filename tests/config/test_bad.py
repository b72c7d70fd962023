"""Every way to write it wrong, with the exact sentence that a person gets."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.config.load import ConfigError, load, load_text

KINDS = ("airflow", "local", "prometheus")
SOURCE = '[[source]]\nname = "af"\nkind = "airflow"\nurl = "https://a.example"\n'
JOB = '[[job]]\nname = "a"\n[[job.step]]\nname = "s"\nrun = ["true"]\n'
REFERENCE = (
    'write a reference: { env = "NAME" }, { file = "PATH" }, { cmd = ["program", "argument"] } or { cred = "NAME" }'
)


def problems(
    text: str, more: dict[str, str] | None = None, deep: bool = False, folder: Path | None = None
) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_text(text, folder, more, deep=deep, kinds=KINDS)
    return str(caught.value).splitlines()


CASES = {
    "unknown key": (
        'timezon = "UTC"',
        '1: timezon: expected a known key, got "timezon"; did you mean "timezone"?',
    ),
    "unknown table": (
        "\n[[sources]]\nname = 'a'",
        '2: sources: expected a known key, got "sources"; did you mean "source"?',
    ),
    "unknown key in an entry": (
        SOURCE + "pol = '5s'",
        '5: source[af].pol: expected a known key, got "pol"; did you mean "poll"?',
    ),
    "credentials beside the url": (
        SOURCE + "username = 'ops'",
        '5: source[af].username: expected a known key, got "username"; credentials stand under auth: '
        'auth = { user = "ops", password = { env = "NAME" } }, or auth = { token = { env = "NAME" } }',
    ),
    "unknown key, nothing near": (
        "[store]\nzzz = 1",
        '2: store.zzz: expected a known key, got "zzz"; known here: path, retain_runs',
    ),
    "unknown key within an inline table": (
        SOURCE + "tls = {\tverfy = false }",
        '5: source[af].tls.verfy: expected a known key, got "verfy"; did you mean "verify"?',
    ),
    "missing key": (
        "[[source]]\nname = 'x'\nurl = 'https://a.example'",
        "1: source[x]: expected kind, which is missing; add kind: which adapter: airflow, local, …",
    ),
    "limit with a sign": (
        '[[limit]]\non = "host.mem"\nlimit = "90%"',
        '3: limit[1].limit: expected a number, got "90%"; write 90',
    ),
    "limit that is no number at all": (
        '[[limit]]\non = "host.mem"\nlimit = "most"',
        '3: limit[1].limit: expected a number, got "most"',
    ),
    "missing url": (
        "[[source]]\nname = 'x'\nkind = 'airflow'",
        "1: source[x]: expected url, which is missing; add url: where this airflow answers",
    ),
    "wrong type: text for bool": (
        SOURCE + "protected = 'no'",
        '5: source[af].protected: expected true or false, got "no"; write it without quotes',
    ),
    "wrong type: number for text": (
        SOURCE.replace('"af"', "7"),
        '2: source[1].name: expected a name of small letters, digits and dashes (at most 40), got the number 7; write it in quotes: "7"',
    ),
    "wrong type: table for a list": (
        "[source]\nname = 'a'",
        "1: source: expected tables written [[source]], got a table; write [[source]]",
    ),
    "wrong type: text for a list": (
        SOURCE + "include = 'cdm_*'",
        '5: source[af].include: expected a list, got "cdm_*"; write ["cdm_*"]',
    ),
    "wrong type: a date": (
        "timezone = 2026-11-20",
        '1: timezone: expected a time zone like "Europe/Paris", got the date or time 2026-11-20',
    ),
    "a shell line for argv": (
        JOB.replace('["true"]', '"python load.py"'),
        '5: job[a].step[s].run: expected a program and its arguments as a list, got "python load.py"; '
        'write ["python", "load.py"]; there is no shell',
    ),
    "no program": (
        JOB.replace('"true"', '"", "x"'),
        '5: job[a].step[s].run[1]: expected a program, got nothing; write ["python", "load.py"]',
    ),
    "a word that no program can be given": (
        JOB.replace('"true"', '"a\\u0000b"'),
        '5: job[a].step[s].run[1]: expected a word in quotes, got "a�b"',
    ),
    "empty argv": (
        JOB.replace('["true"]', "[]"),
        "5: job[a].step[s].run: expected a program and its arguments as a list of at least one entry, got 0; "
        'write ["python", "load.py"]; there is no shell',
    ),
    "duration without unit": (
        SOURCE + "poll = 10",
        '5: source[af].poll: expected a duration like "90s", "15m", "4h" or "7d", got the number 10; write "10s"',
    ),
    "bad duration": (
        SOURCE + "poll = '10 seconds'",
        '5: source[af].poll: expected a duration like "90s", "15m", "4h" or "7d", got "10 seconds"',
    ),
    "duration too short": (
        SOURCE + "poll = '100ms'",
        '5: source[af].poll: expected at least 1 s, got "100ms"',
    ),
    "bad rate": (
        SOURCE + "requests = 'many'",
        '5: source[af].requests: expected a rate like "60/min", got "many"',
    ),
    "bad zone": (
        'timezone = "Europe/Pariss"',
        '1: timezone: expected a time zone like "Europe/Paris", got "Europe/Pariss"; did you mean "Europe/Paris"?',
    ),
    "a city without its continent": (
        'timezone = "paris"',
        '1: timezone: expected a time zone like "Europe/Paris", got "paris"; did you mean "Europe/Paris"?',
    ),
    "a zone that is a folder": (
        'timezone = "Europe"',
        '1: timezone: expected a time zone like "Europe/Paris", got "Europe"',
    ),
    "a zone that climbs": (
        'timezone = "../../etc/passwd"',
        '1: timezone: expected a time zone like "Europe/Paris", got "../../etc/passwd"',
    ),
    "bad time": (
        '[[expectation]]\nid = "e"\non = "*"\ntype = "finish_by"\ndue = "25:00"',
        '5: expectation[e].due: expected a time of day like "06:00", got "25:00"',
    ),
    "bad moment": (
        '[[window]]\nname = "w"\non = "*"\nkind = "freeze"\nstart = "sunday 02:00"\nend = "04:00"',
        '5: window[w].start: expected a time like "04:00" or "sun 02:00", got "sunday 02:00"',
    ),
    "bad days": (
        '[[expectation]]\nid = "e"\non = "*"\ntype = "finish_by"\ndue = "05:00"\ndays = "weekdays"',
        '6: expectation[e].days: expected days like "mon-fri", "mon,wed", "daily", "1,15,-1", "first mon" or "last business day", got "weekdays"',
    ),
    "bad schedule": (
        JOB.replace('"a"', '"a"\nschedule = "*/5 * * *"'),
        "3: job[a].schedule: schedule '*/5 * * *' has 4 fields: expected five (minute hour day month weekday), @daily, or every 15m; "
        'write five cron fields, like "*/5 * * * *"',
    ),
    "bad choice": (
        JOB.replace('"a"', '"a"\noverlap = "skipp"'),
        '3: job[a].overlap: expected one of skip, queue, allow, got "skipp"; did you mean "skip"?',
    ),
    "bad severity": (
        '[[contact]]\nname = "ana"\nurl = { env = "U" }\n[[route]]\nmatch = "*"\nseverity = "=>high"\nto = ["ana"]',
        '6: route[*].severity: expected a severity, alone or with >=, like ">=medium", got "=>high"',
    ),
    "bad selector": (
        '[[pipeline]]\nmatch = "cdm"',
        '2: pipeline[cdm].match: expected a selector: source:pipeline (with * and ?), app:…, layer:…, tag:…, env:…, src:… or *, got "cdm"',
    ),
    "bad business date": (
        '[[pipeline]]\nmatch = "*"\nbusiness_date = "yesterday"',
        '3: pipeline[*].business_date: expected "start", "start - 1d", "logical", "interval_end" or "param:NAME", got "yesterday"',
    ),
    "bad url": (
        SOURCE.replace("https://a.example", "a.example"),
        '4: source[af].url: expected a URL like https://airflow.example.com, got "a.example"; begin it with https://, or with what the page of its kind says (kafka://, postgresql://)',
    ),
    "unknown kind": (
        SOURCE.replace("airflow", "airflo"),
        '3: source[af].kind: expected an installed adapter, got "airflo"; did you mean "airflow"?',
    ),
    "kind that is not installed": (
        SOURCE.replace('"airflow"', '"zzz"'),
        '3: source[af].kind: expected an installed adapter, got "zzz"; installed: airflow, local, prometheus',
    ),
    "a source named like a selector": (
        SOURCE.replace('"af"', '"env"'),
        '2: source[env].name: expected another name, got "env", which is a word of selectors; give the source another name',
    ),
    "another kind named local": (
        SOURCE.replace('"af"', '"local"'),
        '2: source[local].name: expected the name "local" for the kind local and for no other, got "local"; '
        'jobs of this host have name = "local"',
    ),
    "duplicate source": (
        SOURCE + SOURCE,
        '6: source[af].name: "af" is there twice (first: watchfloor.toml:2); give one of them another name',
    ),
    "duplicate step": (
        JOB + '[[job.step]]\nname = "s"\nrun = ["true"]',
        '7: job[a].step[s].name: "s" is there twice in this job; give one of them another name',
    ),
    "duplicate entry of a list": (
        SOURCE + 'include = ["a", "b", "a"]',
        '5: source[af].include[3]: "a" is there twice; remove one',
    ),
    "after: a typing error": (
        JOB.replace('"a"', '"load-sales"') + JOB.replace('"a"', '"b"\nafter = ["load-sale"]'),
        '8: job[b].after[1]: expected the name of a job, got "load-sale"; did you mean "load-sales"?',
    ),
    "after: itself": (
        JOB.replace('"a"', '"a"\nafter = ["a"]'),
        "3: job[a].after[1]: expected other jobs, got the job itself; remove it",
    ),
    "after: a circle": (
        JOB.replace('"a"', '"a"\nafter = ["b"]')
        + JOB.replace('"a"', '"b"\nafter = ["c"]')
        + JOB.replace('"a"', '"c"\nafter = ["a"]'),
        "3: job[a].after: expected no circle, got a → b → c → a; remove one of them",
    ),
    "a step name that looks mapped": (
        JOB.replace('"s"', '"load.3"'),
        '4: job[a].step[load.3].name: expected a name of letters, digits, - and _, got "load.3"',
    ),
    "a job name that climbs": (
        JOB.replace('"a"', '"../a"'),
        '2: job[../a].name: expected a name of letters, digits, . - and _ (at most 100), got "../a"',
    ),
    "unknown contact": (
        '[[contact]]\nname = "ana"\nurl = { env = "U" }\n[[route]]\nmatch = "*"\nto = ["anna"]',
        '6: route[*].to[1]: expected the name of a contact, got "anna"; did you mean "ana"?',
    ),
    "unknown fallback": (
        '[[contact]]\nname = "ana"\nurl = { env = "U" }\n[[route]]\nmatch = "*"\nto = ["ana"]\nfallback = "desk"',
        '7: route[*].fallback: expected the name of a contact, got "desk"; add a [[contact]] with name = "desk"',
    ),
    "nobody to tell": (
        '[[route]]\nmatch = "*"\nto = []',
        "3: route[*].to: expected names of contacts of at least one entry, got 0",
    ),
    "expectation without its time": (
        '[[expectation]]\nid = "e"\non = "*"\ntype = "finish_by"',
        "4: expectation[e].type: expected due or due_after_schedule with finish_by, there is none; add due",
    ),
    "window without end": (
        '[[window]]\nname = "w"\non = "*"\nkind = "freeze"\nstart = "02:00"',
        "1: window[w]: expected either end or duration; keep one of them",
    ),
    "access for nobody known": (
        '[[access]]\nallow = ["dataops"]\nrole = "operator"',
        '2: access[1].allow[1]: expected user:NAME, group:NAME, uid:NUMBER or *, got "dataops"',
    ),
    "normal the wrong way round": (
        '[[series]]\nname = "s"\nsource = "af"\nquery = "q"\nnormal = [5, 1]',
        "5: series[s].normal: expected the lowest value first; write [1.0, 5.0]",
    ),
    "key id without quotes": (
        '[keys]\nrun.stop = "x"',
        '2: keys.run: expected a key or a list of keys, got a table; write the id in quotes: "run.stop" = "x"',
    ),
    "a literal password": (
        SOURCE + 'auth = { user = "ops", password = "hunter2" }',
        f"5: source[af].auth.password: expected a reference to a secret, got the secret itself; {REFERENCE}",
    ),
    "a literal Apprise URL": (
        '[[contact]]\nname = "ana"\nurl = "slack://hunter2"',
        f"3: contact[ana].url: expected a reference to a secret, got the secret itself; {REFERENCE}",
    ),
    "a secret where the variable's name belongs": (
        SOURCE + 'auth = { password = { env = "hunter2!" } }',
        f"5: source[af].auth.password: expected the name of an environment variable; {REFERENCE}",
    ),
    "two references in one": (
        SOURCE + 'auth = { password = { env = "A", file = "hunter2" } }',
        f"5: source[af].auth.password: expected exactly one of env, file, cmd, cred; {REFERENCE}",
    ),
    "a command as a shell line": (
        SOURCE + 'auth = { password = { cmd = "pass hunter2" } }',
        "5: source[af].auth.password: expected a program and its arguments as a list; "
        'write { cmd = ["pass", "show", "airflow"] }',
    ),
    "a secret in a URL": (
        SOURCE.replace("https://", "https://ops:hunter2@"),
        "4: source[af].url: expected a URL without user name and password, got one with them; put them under auth",
    ),
    "a secret in a URL without scheme": (
        SOURCE.replace("https://", "ops:hunter2@"),
        '4: source[af].url: expected a URL like https://airflow.example.com, got "…@a.example"; begin it with https://, or with what the page of its kind says (kafka://, postgresql://)',
    ),
    "auth as one text": (
        SOURCE + 'auth = "ops:hunter2"',
        '5: source[af].auth: expected a table, got something else; write { user = "ops", password = { env = "NAME" } }',
    ),
    "a literal under another name": (
        SOURCE + 'auth = { client_secret = "hunter2" }',
        f"5: source[af].auth.client_secret: expected a reference to a secret, got the secret itself; {REFERENCE}",
    ),
    "a key is a secret under auth": (
        SOURCE + 'auth = { key = "hunter2" }',
        f"5: source[af].auth.key: expected a reference to a secret, got the secret itself; {REFERENCE}",
    ),
    "a secret among the options": (
        SOURCE + '[source.options]\nx = 1\n[source.options.deep]\napi_key = "hunter2"',
        "8: source[af].options.deep.api_key: expected no secret here, got one; put it under auth, as a reference",
    ),
    "not TOML": (
        'timezone = "UTC"\n[[source]\nname = "a"',
        "2: expected TOML, got something else (expected … at the end of an array declaration); look at this line and the one above",
    ),
    "not TOML, with a secret in the line": (
        'a = 1\ntoken = hunter2"',
        "2: expected TOML, got something else (invalid value); look at this line and the one above",
    ),
    "the same key twice": (
        'timezone = "UTC"\ntimezone = "UTC"',
        "2: expected TOML, got something else (cannot overwrite a value); look at this line and the one above",
    ),
    "an open text": (
        'timezone = "UTC',
        "1: expected TOML, got something else (unterminated string); look at this line and the one above",
    ),
    "a byte-order mark": (
        '\ufefftimezone = "UTC"',
        "1: expected TOML, got a byte-order mark; save the file as UTF-8 without one",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_one_sentence_with_file_line_key_expectation(name: str) -> None:
    text, sentence = CASES[name]
    said = problems(text)
    assert said == [f"watchfloor.toml:{sentence}"]
    assert "hunter2" not in "".join(said)


def test_the_sentence_holds_no_escape_codes_and_no_endless_text() -> None:
    (said,) = problems(f'[store]\n"\\u001b]0;x\\u0007{"y" * 5000}" = 1')
    assert "\x1b" not in said
    assert "\x07" not in said
    assert len(said) < 300


def test_nested_beyond_measure_is_one_sentence() -> None:
    (said,) = problems("a = " + "[" * 5000 + "]" * 5000)
    assert said.startswith("watchfloor.toml: expected TOML, got tables nested too deeply")


class TestFurtherFiles:
    def test_only_entries_belong_there(self) -> None:
        said = problems("", {"x.toml": '[store]\npath = "a"\n[[job]]\nnam = "b"'})
        assert said[0] == (
            "watchfloor.d/x.toml:1: store: expected only entries like [[source]] in watchfloor.d, got store; move it to the main file"
        )
        assert said[1] == "watchfloor.d/x.toml:3: job[1]: expected name, which is missing; add name: name of the job"
        assert 'watchfloor.d/x.toml:4: job[1].nam: expected a known key, got "nam"; did you mean "name"?' in said

    def test_duplicates_name_the_other_file(self) -> None:
        assert problems(SOURCE, {"x.toml": "\n" + SOURCE}) == [
            'watchfloor.d/x.toml:3: source[af].name: "af" is there twice (first: watchfloor.toml:2); give one of them another name'
        ]
        assert problems("[environment.prod]", {"x.toml": "[environment.prod]"}) == [
            'watchfloor.d/x.toml:1: environment.prod: "prod" is there twice (first: watchfloor.toml:1); remove one'
        ]

    def test_one_bad_file_refuses_all_and_the_good_ones_are_still_checked(self) -> None:
        said = problems("zz = 1", {"x.toml": "= broken", "y.toml": "[[job]]"})
        assert [line.split(":")[0] for line in said] == [
            "watchfloor.toml",
            "watchfloor.d/x.toml",
            "watchfloor.d/y.toml",
            "watchfloor.d/y.toml",
        ]


class TestFiles:
    def test_none(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError) as caught:
            load(tmp_path / "no.toml")
        assert str(caught.value) == (
            f"{tmp_path}/no.toml: expected a configuration file, there is none; `watchfloor init` writes one to start from"
        )

    def test_a_folder(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"expected a file, got a folder; name the file in it$"):
            load(tmp_path)

    def test_not_utf8(self, tmp_path: Path) -> None:
        file = tmp_path / "watchfloor.toml"
        file.write_bytes('timezone = "UTC"\n# caf\xe9\n'.encode("latin-1"))
        with pytest.raises(ConfigError) as caught:
            load(file)
        assert str(caught.value) == f"{file}:2: expected UTF-8 text, got the byte 0xe9; save the file as UTF-8"

    def test_unreadable(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        file = tmp_path / "watchfloor.toml"
        file.write_text("")
        file.chmod(0)
        if os.geteuid() == 0:  # root reads everything: the kernel's answer is put in its place
            real = Path.open

            def refuse(self: Path, *args: object, **more: object) -> object:
                if self == file:
                    raise PermissionError(13, "Permission denied", str(file))
                return real(self, *args, **more)  # type: ignore[arg-type]

            monkeypatch.setattr(Path, "open", refuse)
        with pytest.raises(ConfigError) as caught:
            load(file)
        assert (
            str(caught.value)
            == f"{file}: expected a readable file, got: permission denied; let the user of the engine read it"
        )

    def test_a_dangling_file_among_the_further_ones(self, tmp_path: Path) -> None:
        (tmp_path / "watchfloor.toml").write_text("")
        (tmp_path / "watchfloor.d").mkdir()
        (tmp_path / "watchfloor.d" / "gone.toml").symlink_to(tmp_path / "nowhere")
        with pytest.raises(
            ConfigError, match=r"watchfloor\.d/gone\.toml: expected a configuration file, there is none"
        ):
            load(tmp_path / "watchfloor.toml")


class TestMissingSecrets:
    TEXT = SOURCE + 'auth = { user = "ops", password = { env = "WF_TEST_ABSENT" } }\n'

    def test_check_reports_it_and_a_plain_load_does_not(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("WF_TEST_ABSENT", raising=False)
        assert load_text(self.TEXT, kinds=KINDS).sources[0].name == "af"
        assert problems(self.TEXT, deep=True) == [
            "watchfloor.toml:5: source[af].auth.password: expected a secret from env:WF_TEST_ABSENT, got none: "
            "the environment variable WF_TEST_ABSENT is not set; set it where the engine is started"
        ]
        monkeypatch.setenv("WF_TEST_ABSENT", "there")
        assert load_text(self.TEXT, kinds=KINDS, deep=True).sources[0].name == "af"

    def test_files_of_contacts_and_authorities(self, tmp_path: Path) -> None:
        text = SOURCE + 'tls = { ca = "ca.pem" }\n[[contact]]\nname = "desk"\nurl = { file = "desk.url" }\n'
        assert problems(text, deep=True, folder=tmp_path) == [
            f"watchfloor.toml:5: source[af].tls.ca: expected a file, there is no {tmp_path}/ca.pem; "
            "put the certificate there, or name another file",
            f"watchfloor.toml:8: contact[desk].url: expected a secret from file:desk.url, got none: there is no file {tmp_path}/desk.url; "
            "write the secret into it, then chmod 600 it",
        ]

    def test_an_open_file_is_warned_about(self, tmp_path: Path) -> None:
        (tmp_path / "desk.url").write_text("json://localhost\n")
        (tmp_path / "desk.url").chmod(0o644)
        text = '[[contact]]\nname = "desk"\nurl = { file = "desk.url" }\n[[route]]\nmatch = "*"\nto = ["desk"]\n'
        config = load_text(text, tmp_path, deep=True)
        assert config.warnings == (
            f"watchfloor.toml:3: contact[desk].url: anybody on this host can read {tmp_path}/desk.url; chmod 600 {tmp_path}/desk.url",
        )


WARNINGS = {
    "unknown environment": (
        '[environment.prod]\n[[pipeline]]\nmatch = "env:prdo"',
        '3: pipeline[env:prdo].match: no environment is called "prdo"; did you mean "prod"?',
    ),
    "unknown source": (
        SOURCE + '[[pipeline]]\nmatch = "lokal:x"',
        '6: pipeline[lokal:x].match: no source is called "lokal"; did you mean "local"?',
    ),
    "certificate": (
        SOURCE + "tls = { verify = false }",
        "5: source[af].tls.verify: the server's certificate is not checked; name its authority: tls = { ca = … }",
    ),
    "plain http": (
        SOURCE.replace("https", "http") + 'auth = { user = "a" }',
        "4: source[af].url: the credential travels unencrypted; use https://",
    ),
    "a secret in a job's variables": (
        JOB.replace('["true"]', '["true"]\nenv = { DB_PASSWORD = "hunter2" }'),
        '6: job[a].step[s].env.DB_PASSWORD: this looks like a secret written in the file; use pass_env = ["DB_PASSWORD"]',
    ),
}


@pytest.mark.parametrize("name", WARNINGS)
def test_what_is_allowed_but_worth_a_word(name: str) -> None:
    text, sentence = WARNINGS[name]
    said = load_text(text, kinds=KINDS).warnings
    assert f"watchfloor.toml:{sentence}" in said
    assert "hunter2" not in "".join(said)


def test_a_file_that_anybody_can_change_is_warned_about(tmp_path: Path) -> None:
    file = tmp_path / "watchfloor.toml"
    file.write_text("")
    file.chmod(0o666)
    assert (
        f"{file}: anybody on this host can change it, and with it what is run here; chmod o-w it" in load(file).warnings
    )
