-- The first schema. Integer ids inside, keys unique; times are integer milliseconds UTC; states are adapters.model.State.
-- Owner rooms and retention stand beside each table. Statements are separated by semicolons at the end of a line.

-- meta: one counter a topic, bumped in the transaction that changed it. Owner: store. Kept for ever.
CREATE TABLE meta (topic TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT, WITHOUT ROWID;

-- engine: one row for display: who writes here, and since when it breathes. Owner: engine.main.
CREATE TABLE engine (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  pid INTEGER NOT NULL, host TEXT NOT NULL, version TEXT NOT NULL, protocol INTEGER NOT NULL,
  started INTEGER NOT NULL, heartbeat INTEGER NOT NULL, stopped INTEGER,
  config_path TEXT NOT NULL, config_hash TEXT NOT NULL, config_error TEXT, demo INTEGER NOT NULL DEFAULT 0,
  timezone TEXT NOT NULL DEFAULT 'UTC', last_words TEXT, note TEXT
) STRICT;

-- config_version: every configuration that ran. Owner: config. Kept for ever (small).
CREATE TABLE config_version (hash TEXT PRIMARY KEY, loaded INTEGER NOT NULL, body TEXT NOT NULL) STRICT;

-- source: as configured. Owner: poll.
CREATE TABLE source (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, url TEXT NOT NULL DEFAULT '',
  environment TEXT NOT NULL DEFAULT '', color TEXT NOT NULL DEFAULT '', protected INTEGER NOT NULL DEFAULT 1,
  caps TEXT NOT NULL DEFAULT '{}', insecure INTEGER NOT NULL DEFAULT 0, timezone TEXT NOT NULL DEFAULT 'UTC',
  ord INTEGER NOT NULL DEFAULT 0, gone INTEGER NOT NULL DEFAULT 0
) STRICT;

-- source_health: one row a source, written once a second at most. Owner: poll.
CREATE TABLE source_health (
  source_id INTEGER PRIMARY KEY REFERENCES source(id) ON DELETE CASCADE,
  health INTEGER NOT NULL, since INTEGER NOT NULL, last_ok INTEGER, last_try INTEGER, next_try INTEGER,
  failures INTEGER NOT NULL DEFAULT 0, detail TEXT, hint TEXT, until INTEGER,
  version TEXT, identity TEXT, skew_ms INTEGER, latency_ms INTEGER,
  requests_min INTEGER NOT NULL DEFAULT 0, bytes_min INTEGER NOT NULL DEFAULT 0, budget_min INTEGER NOT NULL DEFAULT 0,
  poll_ms INTEGER NOT NULL DEFAULT 0, cursor TEXT, listing_misses INTEGER NOT NULL DEFAULT 0
) STRICT;

-- run_url: how the URLs of its runs are formed (engine.store.packed); a run whose URL is formed so stores none.
-- pipeline: what can run. Owner: poll (native fields) and config (what the orchestrator does not know).
CREATE TABLE pipeline (
  id INTEGER PRIMARY KEY, source_id INTEGER NOT NULL REFERENCES source(id) ON DELETE CASCADE,
  key TEXT NOT NULL UNIQUE, name TEXT NOT NULL, mode INTEGER NOT NULL DEFAULT 0, trigger INTEGER NOT NULL DEFAULT 0,
  schedule TEXT, timezone TEXT, next_run INTEGER, owner TEXT, tags TEXT NOT NULL DEFAULT '', url TEXT, description TEXT,
  application TEXT, layer TEXT, criticality INTEGER NOT NULL DEFAULT 2, runbook TEXT, consumers TEXT NOT NULL DEFAULT '',
  business_date_rule TEXT, mode_since INTEGER, extra TEXT, missing INTEGER NOT NULL DEFAULT 0, seen INTEGER NOT NULL DEFAULT 0,
  run_url TEXT
) STRICT;
CREATE INDEX pipeline_source ON pipeline(source_id);

-- run: lean on purpose (12 columns); rare fields stand in run_extra. Owner: poll. Kept retain_runs.
-- at = started, else queued, else first seen: what lists are ordered by, never null.
-- kind = adapters.model.RunKind in the low three bits, above them flags (engine.store.packed): 8 own time, 16 backfilled,
-- 32 observed late, 64 reopened, 128 generated. bdate = business date as yyyymmdd. updated = the source's own time of change, else the time we saw it.
CREATE TABLE run (
  id INTEGER PRIMARY KEY, pipeline_id INTEGER NOT NULL, run TEXT NOT NULL, state INTEGER NOT NULL, kind INTEGER NOT NULL,
  attempt INTEGER NOT NULL DEFAULT 1, bdate INTEGER, at INTEGER NOT NULL, queued INTEGER, started INTEGER, ended INTEGER,
  updated INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX run_native ON run(pipeline_id, run);
CREATE INDEX run_at ON run(at);
CREATE INDEX run_pipeline_at ON run(pipeline_id, at);
-- all but SUCCESS (6), which most are: what is active, and what ended badly, each by time
CREATE INDEX run_state_at ON run(state, at) WHERE state <> 6;

-- tally: counts that take too long to count. Owner: store.
CREATE TABLE tally (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;

-- run_extra: only where there is something to say (native: NULL is our own word for the state in small letters).
CREATE TABLE run_extra (
  run_id INTEGER PRIMARY KEY, native TEXT, sub TEXT, shape INTEGER, params TEXT, url TEXT, error TEXT, rerun_of TEXT,
  client_id TEXT, note TEXT, exit_code INTEGER, stopped_by TEXT
) STRICT;

-- attempt: earlier attempts of a run (clear, repair, rerun in place): history keeps both.
CREATE TABLE attempt (
  run_id INTEGER NOT NULL, attempt INTEGER NOT NULL, state INTEGER NOT NULL, started INTEGER, ended INTEGER, sub TEXT,
  PRIMARY KEY (run_id, attempt)
) STRICT, WITHOUT ROWID;

-- step_run: steps of runs that somebody looked at or that failed. Owner: poll. Kept retain_runs.
CREATE TABLE step_run (
  id INTEGER PRIMARY KEY, run_id INTEGER NOT NULL, step TEXT NOT NULL, map_index INTEGER NOT NULL DEFAULT -1,
  attempt INTEGER NOT NULL DEFAULT 1, state INTEGER NOT NULL, native TEXT, sub TEXT, queued INTEGER, started INTEGER,
  ended INTEGER, ord INTEGER NOT NULL DEFAULT 0, error TEXT, operator TEXT, exit_code INTEGER,
  UNIQUE (run_id, step, map_index, attempt)
) STRICT;

-- pipe_now: one current row a pipeline, kept on write, so that the Floor is one scan. Owner: store.
-- strip: newest last, up to 30 bytes: state in the high four bits, height level 0-7 in the low three.
CREATE TABLE pipe_now (
  pipeline_id INTEGER PRIMARY KEY, run_id INTEGER, run TEXT, state INTEGER, sub TEXT, native TEXT, kind INTEGER, attempt INTEGER,
  bdate INTEGER, at INTEGER, queued INTEGER, started INTEGER, ended INTEGER, active INTEGER NOT NULL DEFAULT 0,
  last_ok INTEGER, usual_ms INTEGER, p90_ms INTEGER, usual_n INTEGER NOT NULL DEFAULT 0, strip BLOB NOT NULL DEFAULT x'',
  error TEXT, changed INTEGER NOT NULL DEFAULT 0
) STRICT;

-- run_day: roll-up per pipeline and UTC day (yyyymmdd). Owner: store.
CREATE TABLE run_day (
  pipeline_id INTEGER NOT NULL, day INTEGER NOT NULL, ok INTEGER NOT NULL DEFAULT 0, warning INTEGER NOT NULL DEFAULT 0,
  bad INTEGER NOT NULL DEFAULT 0, other INTEGER NOT NULL DEFAULT 0, busy_ms INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (pipeline_id, day)
) STRICT, WITHOUT ROWID;

-- log_file: an index row a log; the bytes are a file under the state folder (or the job's own file). Owner: poll.
CREATE TABLE log_file (
  id INTEGER PRIMARY KEY, run_id INTEGER NOT NULL, step TEXT NOT NULL, map_index INTEGER NOT NULL DEFAULT -1,
  attempt INTEGER NOT NULL DEFAULT 1, path TEXT NOT NULL, size INTEGER NOT NULL DEFAULT 0, complete INTEGER NOT NULL DEFAULT 0,
  cursor TEXT, note TEXT, updated INTEGER NOT NULL,
  UNIQUE (run_id, step, map_index, attempt)
) STRICT;

-- note: people's words on a key. Owner: engine.commands. Kept for ever.
CREATE TABLE note (id INTEGER PRIMARY KEY, key TEXT NOT NULL, at INTEGER NOT NULL, who TEXT NOT NULL, text TEXT NOT NULL) STRICT;
CREATE INDEX note_key ON note(key);
