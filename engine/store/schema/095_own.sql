-- own_event: what happened to the engine and its store. what: start, blind (nobody watched from at to until), full (nothing could be
-- recorded from at to until), clock (the wall clock was set), damaged (the store was made anew), restored, wal. until: null while it goes on.
-- Owner: engine.health. Kept 400 days.
CREATE TABLE own_event (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, until INTEGER, what TEXT NOT NULL, words TEXT NOT NULL) STRICT;
CREATE INDEX own_event_at ON own_event(at);
