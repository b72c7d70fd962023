-- run_output: what a run, or a step of it, was expected to make ([[check]] with on). step '': the whole run. state: 0 waiting, 1 as expected,
-- 2 not. expected: in words. saw: what was seen, null: nothing was. words: why it is not as expected. next_at: when it is asked again.
-- Owner: engine.facts.outputs. Goes with its run.
CREATE TABLE run_output (
  run_id INTEGER NOT NULL, attempt INTEGER NOT NULL, name TEXT NOT NULL, step TEXT NOT NULL DEFAULT '', state INTEGER NOT NULL DEFAULT 0,
  expected TEXT NOT NULL DEFAULT '', saw TEXT, words TEXT NOT NULL DEFAULT '', at INTEGER NOT NULL, tries INTEGER NOT NULL DEFAULT 0, next_at INTEGER,
  PRIMARY KEY (run_id, attempt, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX run_output_next ON run_output(next_at) WHERE next_at IS NOT NULL;
