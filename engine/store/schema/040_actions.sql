-- action: intent before the call, truth after it. nonce is used once. Owner: actions. Kept for ever (people's deeds are few).
-- scope: what one action at a time may touch: a run's key for run verbs, else the pipeline's.
-- attempt: the run's attempt as the source numbered it when it was confirmed; seen_attempt: as the store counts it. 0 of pipelines.
-- before, after: JSON of the state as read; ended on state 8 (unknown): nobody asks closely any more, a person must look.
CREATE TABLE action (
  id TEXT PRIMARY KEY, nonce TEXT NOT NULL UNIQUE, verb TEXT NOT NULL, key TEXT NOT NULL, pipeline_key TEXT NOT NULL, scope TEXT NOT NULL,
  environment TEXT NOT NULL DEFAULT '', state INTEGER NOT NULL, words TEXT NOT NULL DEFAULT '', client_id TEXT NOT NULL,
  plan_hash TEXT NOT NULL, plan TEXT NOT NULL, prepared TEXT NOT NULL DEFAULT '', reason TEXT, who TEXT NOT NULL, uid INTEGER NOT NULL,
  created INTEGER NOT NULL, changed INTEGER NOT NULL, ended INTEGER, result_key TEXT, before TEXT, after TEXT,
  attempt INTEGER NOT NULL DEFAULT 0, seen_attempt INTEGER NOT NULL DEFAULT 0, sent INTEGER
) STRICT;
CREATE UNIQUE INDEX action_one_in_flight ON action(scope) WHERE state IN (2, 3, 8);
CREATE INDEX action_created ON action(created);
CREATE INDEX action_scope ON action(scope, created);
CREATE TABLE action_event (id INTEGER PRIMARY KEY, action_id TEXT NOT NULL, at INTEGER NOT NULL, state INTEGER NOT NULL, words TEXT NOT NULL) STRICT;
CREATE INDEX action_event_action ON action_event(action_id);
-- armed: an expiring request held by the engine, shown on every screen of that environment; each person arms for himself.
CREATE TABLE armed (
  environment TEXT NOT NULL, who TEXT NOT NULL, uid INTEGER NOT NULL, until INTEGER NOT NULL, PRIMARY KEY (environment, uid)
) STRICT, WITHOUT ROWID;
-- audit: a hash chain, one row per fact about an action; mirrored as JSON lines beside the store. Kept for ever.
CREATE TABLE audit (
  seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, at INTEGER NOT NULL, action_id TEXT, event TEXT NOT NULL, uid INTEGER NOT NULL,
  login TEXT NOT NULL, origin TEXT, verb TEXT, key TEXT, body TEXT NOT NULL, prev TEXT NOT NULL, hash TEXT NOT NULL
) STRICT;
