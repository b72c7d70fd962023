-- What alerts keep of what is owed. Owner: alerts.
-- parent: the alert of what causes this one; it is told with it. told_with: when the parent's message told of it, null: not yet.
-- failure: of an alert of rule owed, the business date or run of a failure that joined it, '' for none.
-- group_at: of a parent, when its next message about what broke behind it is due; grouped: when it sent the last one.
ALTER TABLE alert ADD COLUMN parent TEXT;
ALTER TABLE alert ADD COLUMN failure TEXT NOT NULL DEFAULT '';
ALTER TABLE alert ADD COLUMN group_at INTEGER;
ALTER TABLE alert ADD COLUMN grouped INTEGER;
ALTER TABLE alert ADD COLUMN told_with INTEGER;
CREATE INDEX alert_parent ON alert(parent) WHERE parent IS NOT NULL;
CREATE INDEX alert_group ON alert(group_at) WHERE group_at IS NOT NULL;

-- alert_owed: which occurrences an alert is about. role: 0 its own, 1 joined (the same trouble of the same thing), 2 behind (at risk
-- because of it, and not told for itself). state: 0 at risk, 1 broken, 2 over. title, body: how it reads where it leads its alert;
-- name: how it reads in a list; words: in a sentence. Goes with its alert.
CREATE TABLE alert_owed (
  occurrence TEXT PRIMARY KEY, alert_id TEXT NOT NULL, expectation_id INTEGER NOT NULL, thing TEXT NOT NULL, type TEXT NOT NULL,
  bdate TEXT NOT NULL, run_key TEXT NOT NULL DEFAULT '', role INTEGER NOT NULL, state INTEGER NOT NULL, severity INTEGER NOT NULL,
  due_at INTEGER NOT NULL, since INTEGER NOT NULL, name TEXT NOT NULL, words TEXT NOT NULL, title TEXT NOT NULL, body TEXT NOT NULL
) STRICT;
CREATE INDEX alert_owed_alert ON alert_owed(alert_id);
CREATE INDEX alert_owed_thing ON alert_owed(thing) WHERE state < 2;
