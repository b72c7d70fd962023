-- Series that sources are asked for: the last reading with its own time, when it was asked for last, why there is none.
-- source: name of the [[source]]; query: name of the [[series]], '' for what the source measures of hosts by itself.
-- past: when its history was fetched. A row without t: asked for, never answered. Owner: engine.poll.metrics.
CREATE TABLE series_now (
  series_id INTEGER PRIMARY KEY, source TEXT NOT NULL, query TEXT NOT NULL DEFAULT '', t INTEGER, value REAL, tried INTEGER NOT NULL,
  why TEXT, past INTEGER
) STRICT;
CREATE INDEX series_now_source ON series_now(source);
