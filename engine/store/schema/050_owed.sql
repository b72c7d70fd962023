-- expectation: an [[expectation]] bound to one thing, or one that we make without configuration (declared = 0).
-- thing: key of a pipeline, feed:NAME, ping:NAME, or set:ID (a completeness over several pipelines). words: how it reads.
-- place: file and line. fingerprint: tells whether a reload changed it. Owner: owed. Kept while occurrences refer to it.
CREATE TABLE expectation (
  id INTEGER PRIMARY KEY, promise TEXT NOT NULL, thing TEXT NOT NULL, pipeline_id INTEGER, type TEXT NOT NULL,
  severity INTEGER NOT NULL, declared INTEGER NOT NULL DEFAULT 1, words TEXT NOT NULL, zone TEXT NOT NULL DEFAULT 'UTC',
  late_by_ms INTEGER NOT NULL DEFAULT 0, warn REAL NOT NULL DEFAULT 0.5, limit_ms INTEGER, expected_ms INTEGER,
  consumers TEXT NOT NULL DEFAULT '', runbook TEXT, place TEXT NOT NULL DEFAULT '', fingerprint TEXT NOT NULL DEFAULT '',
  opened_until INTEGER NOT NULL DEFAULT 0, gone INTEGER NOT NULL DEFAULT 0,
  UNIQUE (promise, thing)
) STRICT;
CREATE INDEX expectation_pipeline ON expectation(pipeline_id);

-- occurrence: one thing owed once; what is fixed when it opens, then the latest verdict (engine.owed.occurrences.Occurrence).
-- flags: 1 dated, 2 by_clock, 4 warnings count, 8 missed. state: adapters.model.Owed. bdate as yyyymmdd. evidence: JSON list of
-- [what, key, at, words]. extra: JSON of members and upstream. run: the native id of the run that counts, of its pipeline.
-- Occurrences of one run (max_duration, duration_anomaly, runaway) are kept only while that run goes on, and when it broke them.
-- An id is never given twice: predictions of an occurrence that is forgotten stay for calibration.
CREATE TABLE occurrence (
  id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, expectation_id INTEGER NOT NULL, bdate INTEGER, tick INTEGER,
  from_at INTEGER NOT NULL, declared_at INTEGER NOT NULL, due_at INTEGER NOT NULL, alert_at INTEGER NOT NULL,
  flags INTEGER NOT NULL DEFAULT 4, opened_as INTEGER NOT NULL DEFAULT 0, why_opened TEXT NOT NULL DEFAULT '',
  state INTEGER NOT NULL DEFAULT 0, reason TEXT NOT NULL DEFAULT '', since INTEGER, met_at INTEGER, lateness_ms INTEGER,
  run TEXT, evidence TEXT NOT NULL DEFAULT '[]', extra TEXT, changed INTEGER NOT NULL
) STRICT;
CREATE INDEX occurrence_due ON occurrence(due_at);
CREATE INDEX occurrence_of ON occurrence(expectation_id, due_at);
CREATE INDEX occurrence_unsettled ON occurrence(state, due_at) WHERE state IN (0, 1, 4, 5, 7);

-- owed_now: of each thing the occurrence that matters now, kept on write, so that the Floor is one scan. Owner: owed.
CREATE TABLE owed_now (thing TEXT PRIMARY KEY, pipeline_id INTEGER, occurrence_id INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX owed_now_pipeline ON owed_now(pipeline_id);

-- prediction: the latest of an occurrence. course: adapters.model.Course. late: P(late). basis: JSON of engine.owed.history.Basis.
-- at_risk, high: the hysteresis. Owner: owed. Goes with its occurrence.
CREATE TABLE prediction (
  occurrence_id INTEGER PRIMARY KEY, at INTEGER NOT NULL, course INTEGER NOT NULL, start INTEGER NOT NULL, p50 INTEGER, p90 INTEGER,
  late REAL, outlived INTEGER NOT NULL, n INTEGER NOT NULL, latest_start INTEGER, spread INTEGER, basis TEXT NOT NULL,
  at_risk INTEGER NOT NULL DEFAULT 0, high INTEGER NOT NULL DEFAULT 0
) STRICT;

-- predicted: what was said when, and what became of it: calibration. Kept 90 days. was_late and ended are known once it settled.
CREATE TABLE predicted (
  occurrence_id INTEGER NOT NULL, at INTEGER NOT NULL, late REAL NOT NULL, p50 INTEGER, ended INTEGER, was_late INTEGER,
  PRIMARY KEY (occurrence_id, at)
) STRICT, WITHOUT ROWID;
CREATE INDEX predicted_at ON predicted(at);

-- baseline: what is ordinary for a pipeline and shape (engine.owed.anomaly.Levels), so that a restart forgets nothing.
CREATE TABLE baseline (pipeline_id INTEGER NOT NULL, shape INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (pipeline_id, shape)) STRICT, WITHOUT ROWID;

-- owed_warning: what of the configuration is owed by nobody, or reads differently from what its source says. Rewritten whole.
CREATE TABLE owed_warning (promise TEXT NOT NULL, words TEXT NOT NULL, place TEXT NOT NULL DEFAULT '', at INTEGER NOT NULL, PRIMARY KEY (promise, words)) STRICT, WITHOUT ROWID;
-- owed_event: things that are told once: a level shift, due times that a reload kept. Kept as long as runs.
CREATE TABLE owed_event (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, thing TEXT NOT NULL, what TEXT NOT NULL, words TEXT NOT NULL) STRICT;
CREATE INDEX owed_event_at ON owed_event(at);

-- edge: who waits for whom (keys of pipelines and feeds). kind: after (its source says so), declared, feed.
CREATE TABLE edge (up TEXT NOT NULL, down TEXT NOT NULL, kind TEXT NOT NULL, PRIMARY KEY (up, down)) STRICT, WITHOUT ROWID;
-- window_span: maintenance, intervention and freeze windows as instants, two days back and ahead. Rewritten whole.
CREATE TABLE window_span (name TEXT NOT NULL, kind TEXT NOT NULL, match TEXT NOT NULL, start INTEGER NOT NULL, until INTEGER NOT NULL, words TEXT NOT NULL DEFAULT '', PRIMARY KEY (name, start)) STRICT, WITHOUT ROWID;

-- feed: a file (later: table, topic) that comes from outside. buffer_ms: how long before its consumers start it should be there.
CREATE TABLE feed (
  name TEXT PRIMARY KEY, file TEXT NOT NULL, zone TEXT NOT NULL DEFAULT 'UTC', layer TEXT, application TEXT, owner TEXT,
  buffer_ms INTEGER, looked INTEGER, error TEXT, gone INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
-- arrival: a file of a feed came, or came anew. at: its own time of change. Kept as long as runs.
CREATE TABLE arrival (id INTEGER PRIMARY KEY, feed TEXT NOT NULL, what TEXT NOT NULL, at INTEGER NOT NULL, bdate INTEGER, size INTEGER NOT NULL DEFAULT 0, seen INTEGER NOT NULL, UNIQUE (feed, what, at)) STRICT;
CREATE INDEX arrival_feed ON arrival(feed, at);
-- margin: from the arrival of a feed to the start of the first run that needs it, a business date each.
CREATE TABLE margin (feed TEXT NOT NULL, day INTEGER NOT NULL, arrived INTEGER NOT NULL, started INTEGER NOT NULL, run_key TEXT NOT NULL, PRIMARY KEY (feed, day)) STRICT, WITHOUT ROWID;

-- beat: a sign of life sent by `watchfloor ping`. what: start ok fail log. Kept 60 days.
CREATE TABLE beat (id INTEGER PRIMARY KEY, name TEXT NOT NULL, at INTEGER NOT NULL, what TEXT NOT NULL, words TEXT, who TEXT NOT NULL) STRICT;
CREATE INDEX beat_name ON beat(name, at);
-- run_check: a done_when check of a finished run. state: 0 waiting, 1 passed, 2 failed (asked again at next_at).
CREATE TABLE run_check (
  run_id INTEGER NOT NULL, attempt INTEGER NOT NULL, name TEXT NOT NULL, state INTEGER NOT NULL, at INTEGER NOT NULL, words TEXT NOT NULL DEFAULT '',
  next_at INTEGER, PRIMARY KEY (run_id, attempt, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX run_check_next ON run_check(next_at) WHERE next_at IS NOT NULL;

-- waiver: a person's word that an occurrence is not owed. until null: for good. Kept for ever.
CREATE TABLE waiver (id INTEGER PRIMARY KEY, occurrence TEXT NOT NULL, who TEXT NOT NULL, uid INTEGER NOT NULL, reason TEXT NOT NULL, until INTEGER, at INTEGER NOT NULL) STRICT;
CREATE INDEX waiver_occurrence ON waiver(occurrence);
-- signoff: a morning check that somebody signed. body: JSON of its lines with their evidence and answers. Kept for ever.
CREATE TABLE signoff (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, who TEXT NOT NULL, uid INTEGER NOT NULL, since INTEGER NOT NULL, well INTEGER NOT NULL, note TEXT, body TEXT NOT NULL) STRICT;
