-- series: a number worth keeping. host.* are this host's own; run:<key> are a running tree's.
CREATE TABLE series (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, unit TEXT NOT NULL DEFAULT '', source TEXT NOT NULL DEFAULT 'host',
  label TEXT, max REAL, note TEXT
) STRICT;
-- Raw is time-major (a tick is one short append), tiers are series-major (a chart is one short range).
-- A sensor that a machine lacks has no row: it reads n/a, never 0.
CREATE TABLE sample_raw (t INTEGER NOT NULL, series_id INTEGER NOT NULL, value REAL NOT NULL, PRIMARY KEY (t, series_id)) STRICT, WITHOUT ROWID;
CREATE TABLE sample_10s (series_id INTEGER NOT NULL, t INTEGER NOT NULL, n INTEGER NOT NULL, avg REAL NOT NULL, min REAL NOT NULL, max REAL NOT NULL, PRIMARY KEY (series_id, t)) STRICT, WITHOUT ROWID;
CREATE TABLE sample_1m (series_id INTEGER NOT NULL, t INTEGER NOT NULL, n INTEGER NOT NULL, avg REAL NOT NULL, min REAL NOT NULL, max REAL NOT NULL, PRIMARY KEY (series_id, t)) STRICT, WITHOUT ROWID;
CREATE TABLE sample_10m (series_id INTEGER NOT NULL, t INTEGER NOT NULL, n INTEGER NOT NULL, avg REAL NOT NULL, min REAL NOT NULL, max REAL NOT NULL, PRIMARY KEY (series_id, t)) STRICT, WITHOUT ROWID;
-- process: this host's process table, filled only while somebody watches. Owner: engine.samples.
CREATE TABLE process (
  pid INTEGER PRIMARY KEY, ppid INTEGER NOT NULL, name TEXT NOT NULL, user TEXT, cpu REAL, rss INTEGER, run_key TEXT, t INTEGER NOT NULL
) STRICT;
