"""What is asked of a database is one statement that reads, as that database would read it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.sql import SqlAdapter
from adapters.sql.guard import DIALECTS, bare, wrong

PG, LITE, ORA, MS, SNOW = (DIALECTS[n] for n in ("postgresql", "sqlite", "oracle", "sqlserver", "snowflake"))
ALL = (PG, LITE, ORA, MS, SNOW)


@pytest.mark.parametrize("dialect", ALL, ids=lambda d: d.name)
@pytest.mark.parametrize(
    "text",
    [
        "select count(*) from ldz.orders",
        "SELECT 1;",
        "select 1 ; -- the end",
        "-- of the day\n/* all of them; */ select ';' , \"a;b\" from t",
        "select 'it''s; fine' from t",
        "select \"drop table x\" from t where a = 'delete from t; insert into t'",
        "( select 1 ) union ( select 2 )",
        "with a as (select 1 x), b as (select 2) select max(x) from a",
        "with a as (select 1) (select * from a)",
        "values (1)",
        "show tables",
        "explain select 1",
        "select created_at, updated, deleted, into_stock from t where inserted > 1",
        "select t.update, t.into from t",
    ],
)
def test_what_reads_is_asked(text: str, dialect) -> None:
    assert wrong(text, dialect) is None


@pytest.mark.parametrize("dialect", ALL, ids=lambda d: d.name)
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "it is empty"),
        ("-- only this", "it is empty"),
        (";;", "it is empty"),
        ("delete from t", "it begins with DELETE"),
        ("/* select */ Update t set a = 1", "it begins with UPDATE"),
        ("call load()", "it begins with CALL"),
        ("'select'", "it begins with '"),
        ("select 1; drop table t", "more than one statement"),
        ("select 1; select 2", "more than one statement"),
        ("select 1 /* ; */ ; /* x */ delete from t", "more than one statement"),
        ("select * into copy from t", "INTO"),
        ("select 1 from t for update", "it locks rows: FOR UPDATE"),
        ("select 1 from t for no key update", "it locks rows"),
        ("with a as (select 1) insert into t select * from a", "INSERT"),
        ("with a as (select 1) delete from t", "DELETE"),
        ("explain delete from t", "DELETE"),
        ("explain (analyze, costs off) update t set a = 1", "UPDATE"),
        ("select 'open", "the quote ' is not closed"),
        ('select "open', 'the quote " is not closed'),
        ("select 1 /* open", "the comment /* is not closed"),
    ],
)
def test_what_writes_or_is_broken_is_not_asked(text: str, words: str, dialect) -> None:
    assert words in (wrong(text, dialect) or "")


@pytest.mark.parametrize(
    ("dialect", "text", "words"),
    [
        (PG, "with a as (delete from t returning *) select * from a", "DELETE inside WITH"),
        (PG, "with a as materialized (update t set a=1 returning *) select 1 from a", "UPDATE inside WITH"),
        (PG, "select $a$ ; $b$ delete $a$ from t", None),
        (PG, "select $$ ; $$; drop table t", "more than one"),
        (PG, r"select E'it\'s ; ' from t", None),
        (PG, r"select 'c:\' ; delete from t where a = '", "not closed"),
        (PG, "select 1 /* a /* b */ ; */ from t", None),
        (ORA, "select 1 /* a /* b */ ; delete from t", "more than one"),
        (ORA, "select q'[it's ; so]' from dual", None),
        (ORA, "select q'!it's ; so!' from dual", None),
        (ORA, "select q'[open from dual", "the quote q' is not closed"),
        (MS, "select [a;b] from [c]]d]", None),
        (MS, "select 1 delete from t", "it holds DELETE, which begins a statement of its own"),
        (MS, "select 1 exec sp_who", "it holds EXEC"),
        (MS, "select 1 waitfor delay '0:0:9'", "WAITFOR"),
        (MS, "select 1 from a inner merge join b on 1=1 option (use hint ('x'))", None),
        (MS, "select [delete] from t where [set] = 1", None),
        (MS, "select 1 use other", "it holds USE"),
        (LITE, "select `a;b`, [c;d] from t", None),
        (LITE, "select [a]; drop table [t]", "more than one"),
        (LITE, "pragma writable_schema = 1", "it begins with PRAGMA"),
        (SNOW, r"select 'it\'s ; ' from t", None),
        (SNOW, "select 1 // ; drop table t", None),
        (SNOW, "show tables ->> select \"rows\" from $1", None),
        (SNOW, "show tables ->> delete from t", "it goes on with DELETE after ->>"),
        (SNOW, "select 1 ->> call x()", "it goes on with CALL after ->>"),
    ],
)  # fmt: skip
def test_each_database_has_its_own_quotes(dialect, text: str, words: str | None) -> None:
    said = wrong(text, dialect)
    assert said is None if words is None else words in (said or "")


def test_what_may_be_right_for_some_database_is_no_slip() -> None:
    assert SqlAdapter.wrong_query("select $$ ; $$ from t") is None, "of PostgreSQL and Snowflake"
    assert SqlAdapter.wrong_query("select [a;b] from t") is None, "of SQL Server"
    assert "more than one" in (SqlAdapter.wrong_query("select 1; select 2") or "")
    assert "it begins with DROP" in (SqlAdapter.wrong_query("drop table t") or "")


@pytest.mark.parametrize(
    ("text", "left"),
    [("select 1;", "select 1"), (" select ';' ; ; -- x\n", "select ';'"), ("select 1 -- ;", "select 1 -- ;")],
)
def test_a_semicolon_at_the_end_is_left_away(text: str, left: str) -> None:
    assert bare(text, ORA) == left


PIECES = ["select", "with a as (", "delete", "from", "t", ";", "'", '"', "`", "[", "]", "(", ")", "--", "/*", "*/", "//", "$$", "$a$", "q'[", "E'", "\\", "->>",
          "into", " ", "\n", "\x1b[31m", "é", "1"]  # fmt: skip


@given(st.one_of(st.text(max_size=40), st.lists(st.sampled_from(PIECES), max_size=14).map(" ".join)))
def test_any_text_is_judged_in_words_fit_for_a_screen(text: str) -> None:
    for dialect in ALL:
        said = wrong(text, dialect)
        assert said is None or (said.isprintable() and 0 < len(said) <= 200)
        if said is None:
            assert wrong(bare(text, dialect), dialect) is None, "what is left of it may be asked too"
