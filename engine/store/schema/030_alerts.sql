-- alert: at most one that is open (state < 4) per dedup key. Owner: alerts. Closed ones with all that hangs on them are kept
-- as long as runs. severity: 0 critical .. 4 info (adapters.model.Severity).
-- key: the pipeline's key, or the source's name. occurrence: business date or run; run_key: the run seen last.
-- held_back: why nobody was told, null when somebody was. told: people to whom a firing message went.
CREATE TABLE alert (
  id TEXT PRIMARY KEY, dedup TEXT NOT NULL, rule TEXT NOT NULL, key TEXT NOT NULL, occurrence TEXT NOT NULL DEFAULT '',
  severity INTEGER NOT NULL, state INTEGER NOT NULL, title TEXT NOT NULL, body TEXT NOT NULL, opened INTEGER NOT NULL,
  since INTEGER NOT NULL, changed INTEGER NOT NULL, resolved INTEGER, resolved_by TEXT, acked_by TEXT, acked_at INTEGER,
  ack_until INTEGER, ack_note TEXT, reopened INTEGER NOT NULL DEFAULT 0, held_back TEXT, told INTEGER NOT NULL DEFAULT 0,
  run_key TEXT NOT NULL DEFAULT '', good INTEGER NOT NULL DEFAULT 0, bad INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX alert_open ON alert(dedup) WHERE state < 4;
CREATE INDEX alert_key ON alert(key);
CREATE INDEX alert_dedup ON alert(dedup, opened);
CREATE INDEX alert_resolved ON alert(resolved) WHERE state = 4;
CREATE TABLE alert_event (id INTEGER PRIMARY KEY, alert_id TEXT NOT NULL, at INTEGER NOT NULL, what TEXT NOT NULL, who TEXT, detail TEXT) STRICT;
CREATE INDEX alert_event_alert ON alert_event(alert_id);
-- alert_source: since when a source is known here; what ended before that is history, no news. Owner: alerts.
CREATE TABLE alert_source (source_id INTEGER PRIMARY KEY, first_seen INTEGER NOT NULL) STRICT;
-- silence: people's words, never without an end. Owner: alerts. Kept as long as runs.
CREATE TABLE silence (
  id TEXT PRIMARY KEY, match TEXT NOT NULL, until INTEGER NOT NULL, reason TEXT NOT NULL, who TEXT NOT NULL, uid INTEGER NOT NULL,
  created INTEGER NOT NULL
) STRICT;
CREATE INDEX silence_until ON silence(until);
-- outbox: one row per recipient, committed with the state change that it tells of. Owner: notify.
-- state: 0 pending, 1 sending, 2 sent, 3 failed, 4 superseded. fallback: who is told when this one cannot be. done: parts of
-- a contact's address that took it already. unsure: an attempt may have arrived although nobody said so.
CREATE TABLE outbox (
  id TEXT PRIMARY KEY, alert_id TEXT NOT NULL, kind TEXT NOT NULL CHECK (kind IN ('fire','repeat','escalate','resolve','info','digest','test')),
  recipient TEXT NOT NULL, level INTEGER NOT NULL DEFAULT 0, seq INTEGER NOT NULL DEFAULT 0, notify_type TEXT NOT NULL,
  title TEXT NOT NULL, body TEXT NOT NULL, state INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0,
  next_at INTEGER NOT NULL, created INTEGER NOT NULL, sent INTEGER, last_error TEXT, fallback_of TEXT NOT NULL DEFAULT '',
  fallback TEXT NOT NULL DEFAULT '', done TEXT NOT NULL DEFAULT '', unsure INTEGER NOT NULL DEFAULT 0,
  UNIQUE (alert_id, recipient, kind, level, seq, fallback_of)
) STRICT;
CREATE INDEX outbox_due ON outbox(state, next_at);
CREATE TABLE delivery (id INTEGER PRIMARY KEY, outbox_id TEXT NOT NULL, at INTEGER NOT NULL, ok INTEGER NOT NULL, ms INTEGER NOT NULL, detail TEXT) STRICT;
CREATE INDEX delivery_outbox ON delivery(outbox_id);
