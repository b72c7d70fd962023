-- What the configuration says that only a screen needs: kind card, view, limit. body is JSON. Owner: engine.main; whole at each reload.
CREATE TABLE configured (
  kind TEXT NOT NULL, name TEXT NOT NULL, ord INTEGER NOT NULL DEFAULT 0, body TEXT NOT NULL, PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;
