-- One row a series and UTC day (days since 1970): what forecasts and long charts read. Owner: engine.samples. Kept 400 days.
CREATE TABLE sample_day (
  series_id INTEGER NOT NULL, day INTEGER NOT NULL, n INTEGER NOT NULL, avg REAL NOT NULL, min REAL NOT NULL, max REAL NOT NULL,
  PRIMARY KEY (series_id, day)
) STRICT, WITHOUT ROWID;
