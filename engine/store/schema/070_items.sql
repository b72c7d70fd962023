-- What a source has beside pipelines and runs. Owner: engine.poll. A row goes when the source names it no more.
-- seen: when the row was last changed; how old a whole listing is stands in source_part. text: the whole of what words begins.
CREATE TABLE source_item (
  source_id INTEGER NOT NULL REFERENCES source(id) ON DELETE CASCADE, kind TEXT NOT NULL, name TEXT NOT NULL,
  standing INTEGER NOT NULL DEFAULT 0, words TEXT NOT NULL DEFAULT '', text TEXT NOT NULL DEFAULT '', value REAL, most REAL,
  unit TEXT NOT NULL DEFAULT '', pipeline_key TEXT, since INTEGER, seen INTEGER NOT NULL,
  PRIMARY KEY (source_id, kind, name)
) STRICT, WITHOUT ROWID;
-- producers, consumers: keys of pipelines, one a line.
CREATE TABLE asset (
  key TEXT PRIMARY KEY, source_id INTEGER NOT NULL REFERENCES source(id) ON DELETE CASCADE, name TEXT NOT NULL, uri TEXT NOT NULL DEFAULT '',
  grp TEXT NOT NULL DEFAULT '', last_event INTEGER, event_by TEXT, producers TEXT NOT NULL DEFAULT '', consumers TEXT NOT NULL DEFAULT '',
  seen INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX asset_source ON asset(source_id);
-- operation: a backfill that the source carries on. state is adapters.model.State; first and last are ISO dates. Kept 30 days after its end.
CREATE TABLE operation (
  source_id INTEGER NOT NULL REFERENCES source(id) ON DELETE CASCADE, id TEXT NOT NULL, pipeline_key TEXT NOT NULL, kind TEXT NOT NULL,
  state INTEGER NOT NULL, first TEXT, last TEXT, planned INTEGER, done INTEGER, failed INTEGER, running INTEGER,
  created INTEGER, ended INTEGER, who TEXT, words TEXT NOT NULL DEFAULT '', seen INTEGER NOT NULL,
  PRIMARY KEY (source_id, id)
) STRICT, WITHOUT ROWID;
-- How old each listing is: part is items, assets or operations; seen of the last answer, tried of the last question,
-- why it did not answer since. A listing that fails leaves the rows above as they were.
CREATE TABLE source_part (
  source_id INTEGER NOT NULL REFERENCES source(id) ON DELETE CASCADE, part TEXT NOT NULL, seen INTEGER, tried INTEGER NOT NULL, why TEXT,
  PRIMARY KEY (source_id, part)
) STRICT, WITHOUT ROWID;
