-- The records of one action, without a look at all of them.
CREATE INDEX audit_action ON audit(action_id) WHERE action_id IS NOT NULL;
