-- alert: at most one that is not closed per dedup key. Owner: alerts. severity: 0 critical .. 4 info (adapters.model.Severity).
CREATE TABLE alert (
  id TEXT PRIMARY KEY, dedup TEXT NOT NULL, rule TEXT NOT NULL, key TEXT NOT NULL, occurrence TEXT NOT NULL DEFAULT '',
  severity INTEGER NOT NULL, state INTEGER NOT NULL, title TEXT NOT NULL, body TEXT NOT NULL, opened INTEGER NOT NULL,
  since INTEGER NOT NULL, changed INTEGER NOT NULL, resolved INTEGER, resolved_by TEXT, acked_by TEXT, acked_at INTEGER,
  ack_until INTEGER, ack_note TEXT, reopened INTEGER NOT NULL DEFAULT 0, held_back TEXT, told INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX alert_open ON alert(dedup) WHERE state < 4;
CREATE INDEX alert_key ON alert(key);
CREATE TABLE alert_event (id INTEGER PRIMARY KEY, alert_id TEXT NOT NULL, at INTEGER NOT NULL, what TEXT NOT NULL, who TEXT, detail TEXT) STRICT;
CREATE INDEX alert_event_alert ON alert_event(alert_id);
-- outbox: one row per recipient, committed with the state change that it tells of. Owner: notify.
CREATE TABLE outbox (
  id TEXT PRIMARY KEY, alert_id TEXT NOT NULL, kind TEXT NOT NULL CHECK (kind IN ('fire','repeat','escalate','resolve','info','digest','test')),
  recipient TEXT NOT NULL, level INTEGER NOT NULL DEFAULT 0, seq INTEGER NOT NULL DEFAULT 0, notify_type TEXT NOT NULL,
  title TEXT NOT NULL, body TEXT NOT NULL, state INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0,
  next_at INTEGER NOT NULL, created INTEGER NOT NULL, sent INTEGER, last_error TEXT, fallback_of TEXT NOT NULL DEFAULT '',
  UNIQUE (alert_id, recipient, kind, level, seq, fallback_of)
) STRICT;
CREATE INDEX outbox_due ON outbox(state, next_at);
CREATE TABLE delivery (id INTEGER PRIMARY KEY, outbox_id TEXT NOT NULL, at INTEGER NOT NULL, ok INTEGER NOT NULL, ms INTEGER NOT NULL, detail TEXT) STRICT;
CREATE INDEX delivery_outbox ON delivery(outbox_id);
