"""The demo's jobs: they really move rows between SQLite files, layer by layer (data mart → LDZ → RDV → 360 → write-back).

Run by Watchfloor as ``python flow.py STEP --date YYYY-MM-DD``, in the demo's folder. Only the standard library; every step
may be run again for the same date, but for ``load_fact``, whose key violation is the point of one job.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

DATA = Path("data")
LANDING = Path("landing")
CUSTOMERS, ACCOUNTS, TRANSACTIONS, CONTRACTS, TWICE = 20_000, 30_000, 50_000, 5_000, 412


def say(level: str, text: str) -> None:
    print(f"{datetime.now().isoformat(sep=' ', timespec='milliseconds')} {level:<5} {text}", flush=True)  # noqa: DTZ005


def db(name: str, *attach: str) -> sqlite3.Connection:
    DATA.mkdir(exist_ok=True)
    found = sqlite3.connect(DATA / f"{name}.db", timeout=30)
    found.execute("PRAGMA journal_mode=WAL")
    for other in attach:
        found.execute(f"ATTACH ? AS {other}", (str(DATA / f"{other}.db"),))
    return found


STAGE = "CREATE TABLE IF NOT EXISTS stg_contract(id INTEGER, bd TEXT, version INTEGER, customer INTEGER, product TEXT);"
VAULT = (
    "CREATE TABLE IF NOT EXISTS sat_customer(hk TEXT, bd TEXT, name TEXT, segment TEXT, PRIMARY KEY(hk, bd)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS link_txn(id INTEGER, bd TEXT, hk_account TEXT, amount REAL, PRIMARY KEY(id, bd)) WITHOUT ROWID;"
)
FACT = (
    "CREATE TABLE IF NOT EXISTS fact_contract(contract_id INTEGER, business_date TEXT, version INTEGER, customer INTEGER, product TEXT, "
    "CONSTRAINT fact_contract_pk PRIMARY KEY(contract_id, business_date)) WITHOUT ROWID;"
)


def lay_out(data: Path) -> None:
    """The tables that are measured, empty: so that a number is there from the first second on."""
    data.mkdir(parents=True, exist_ok=True)
    for name, tables in (("ldz", STAGE), ("rdv", VAULT + FACT)):
        made = sqlite3.connect(data / f"{name}.db")
        made.execute("PRAGMA journal_mode=WAL")
        made.executescript(tables)
        made.close()


def turn(name: str) -> int:
    """How often this was asked under that name before: what happens only now and then."""
    DATA.mkdir(exist_ok=True)
    file = DATA / f"turn_{name}"
    count = int(file.read_text()) if file.exists() else 0
    file.write_text(str(count + 1))
    return count


def rows(connection: sqlite3.Connection, sql: str, *values: object) -> int:
    with connection:
        return connection.execute(sql, values).rowcount


# --- data mart → landing zone ---------------------------------------------------------------------------------------


def fill_mart(date: str) -> int:
    """The mart as the business left it that day: made once a date, the same rows for the same date."""
    mart = db("mart")
    mart.executescript(
        "CREATE TABLE IF NOT EXISTS customer(id INTEGER, bd TEXT, name TEXT, segment TEXT, PRIMARY KEY(id, bd));"
        "CREATE TABLE IF NOT EXISTS account(id INTEGER, bd TEXT, customer INTEGER, kind TEXT, PRIMARY KEY(id, bd));"
        "CREATE TABLE IF NOT EXISTS txn(id INTEGER, bd TEXT, account INTEGER, amount REAL, PRIMARY KEY(id, bd));"
        "CREATE TABLE IF NOT EXISTS contract(id INTEGER, bd TEXT, version INTEGER, customer INTEGER, product TEXT);"
    )
    with mart:
        for table in ("customer", "account", "txn", "contract"):
            mart.execute(f"DELETE FROM {table} WHERE bd < date(?, '-2 days')", (date,))
    if mart.execute("SELECT 1 FROM contract WHERE bd = ?", (date,)).fetchone():
        say("INFO", f"mart is filled for {date}")
        return 0
    rng = random.Random(date)
    segments, kinds, products = (
        ("retail", "premium", "sme"),
        ("current", "savings", "card"),
        ("loan", "leasing", "insurance"),
    )
    with mart:
        for table in ("customer", "account", "txn"):
            mart.execute(f"DELETE FROM {table} WHERE bd = ?", (date,))
        mart.executemany(
            "INSERT INTO customer VALUES (?,?,?,?)",
            ((i, date, f"C{i:06}", rng.choice(segments)) for i in range(CUSTOMERS)),
        )
        mart.executemany(
            "INSERT INTO account VALUES (?,?,?,?)",
            ((i, date, rng.randrange(CUSTOMERS), rng.choice(kinds)) for i in range(ACCOUNTS)),
        )
        mart.executemany(
            "INSERT INTO txn VALUES (?,?,?,?)",
            ((i, date, rng.randrange(ACCOUNTS), round(rng.lognormvariate(3, 1), 2)) for i in range(TRANSACTIONS)),
        )
        mart.executemany(
            "INSERT INTO contract VALUES (?,?,?,?,?)",
            ((i, date, 1, rng.randrange(CUSTOMERS), rng.choice(products)) for i in range(CONTRACTS)),
        )
        # the mart's known weakness: some contracts are delivered twice, an old and a new version
        mart.executemany(
            "INSERT INTO contract VALUES (?,?,?,?,?)",
            ((i, date, 2, rng.randrange(CUSTOMERS), rng.choice(products)) for i in rng.sample(range(CONTRACTS), TWICE)),
        )
    say("INFO", f"mart filled for {date}: {CUSTOMERS + ACCOUNTS + TRANSACTIONS + CONTRACTS + TWICE:,} rows")
    return 0


LDZ = {
    "customer": "id INTEGER, bd TEXT, name TEXT, segment TEXT",
    "account": "id INTEGER, bd TEXT, customer INTEGER, kind TEXT",
    "txn": "id INTEGER, bd TEXT, account INTEGER, amount REAL",
}


def land(date: str) -> int:
    ldz = db("ldz", "mart")
    for table, columns in LDZ.items():
        ldz.execute(f"CREATE TABLE IF NOT EXISTS {table}({columns})")
        rows(ldz, f"DELETE FROM {table} WHERE bd = ? OR bd < date(?, '-2 days')", date, date)
        count = rows(ldz, f"INSERT INTO {table} SELECT * FROM mart.{table} WHERE bd = ?", date)
        say("INFO", f"{table}: {count:,} rows landed")
    return 0


def compare_counts(date: str) -> int:
    ldz = db("ldz", "mart")
    for table in LDZ:
        left, right = (
            ldz.execute(f"SELECT count(*) FROM {where}.{table} WHERE bd = ?", (date,)).fetchone()[0]
            for where in ("mart", "main")
        )
        say("INFO" if left == right else "ERROR", f"{table}: mart {left:,}, landing zone {right:,}")
        if left != right:
            return 1
    return 0


# --- landing zone → raw data vault ------------------------------------------------------------------------------------


def hubs(date: str) -> int:
    rdv = db("rdv", "ldz")
    rdv.executescript(
        "CREATE TABLE IF NOT EXISTS hub_customer(hk TEXT PRIMARY KEY, id INTEGER, first_seen TEXT) WITHOUT ROWID;"
        "CREATE TABLE IF NOT EXISTS hub_account(hk TEXT PRIMARY KEY, id INTEGER, first_seen TEXT) WITHOUT ROWID;"
    )
    for name in ("customer", "account"):
        new = rows(rdv, f"INSERT OR IGNORE INTO hub_{name} SELECT 'h' || id, id, bd FROM ldz.{name} WHERE bd = ?", date)
        say("INFO", f"hub_{name}: {new:,} new keys")
    return 0


def satellites(date: str) -> int:
    rdv = db("rdv", "ldz")
    rdv.executescript(VAULT)
    rows(rdv, "DELETE FROM sat_customer WHERE bd = ? OR bd < date(?, '-2 days')", date, date)
    rows(rdv, "DELETE FROM link_txn WHERE bd = ? OR bd < date(?, '-2 days')", date, date)
    one = rows(rdv, "INSERT INTO sat_customer SELECT 'h' || id, bd, name, segment FROM ldz.customer WHERE bd = ?", date)
    two = rows(rdv, "INSERT INTO link_txn SELECT id, bd, 'h' || account, amount FROM ldz.txn WHERE bd = ?", date)
    say("INFO", f"sat_customer {one:,} rows, link_txn {two:,} rows")
    return 0


# --- contracts: the key violation ---------------------------------------------------------------------------------------


def check_source(date: str) -> int:
    count = db("mart").execute("SELECT count(*) FROM contract WHERE bd = ?", (date,)).fetchone()[0]
    say("INFO", f"source contract: {count:,} rows for {date}")
    return 0 if count else 1


def extract_contracts(date: str) -> int:
    ldz = db("ldz", "mart")
    ldz.executescript(STAGE)
    rows(ldz, "DELETE FROM stg_contract")
    count = rows(ldz, "INSERT INTO stg_contract SELECT * FROM mart.contract WHERE bd = ?", date)
    say("INFO", f"{count:,} rows staged for FACT_CONTRACT")
    return 0


def load_fact(date: str) -> int:
    rdv = db("rdv", "ldz")
    rdv.executescript(FACT)
    rows(rdv, "DELETE FROM fact_contract WHERE business_date = ?", date)
    say("INFO", "INSERT INTO RDV.FACT_CONTRACT SELECT * FROM STG_CONTRACT")
    try:
        count = rows(
            rdv,
            "INSERT INTO fact_contract SELECT id, bd, version, customer, product FROM ldz.stg_contract WHERE bd = ?",
            date,
        )
    except sqlite3.IntegrityError as error:
        twice = rdv.execute(
            "SELECT count(*) FROM (SELECT 1 FROM ldz.stg_contract GROUP BY id, bd HAVING count(*) > 1)"
        ).fetchone()[0]
        first = rdv.execute(
            "SELECT id FROM ldz.stg_contract GROUP BY id, bd HAVING count(*) > 1 ORDER BY id LIMIT 1"
        ).fetchone()[0]
        say("ERROR", f"duplicate key: {error} (RDV.FACT_CONTRACT_PK violated)")
        print(f"                                key (contract_id, business_date) = ({first}, {date})", flush=True)
        say("INFO", f"{twice} contracts of {date} are staged twice, an old and a new version")
        say("INFO", "way out: start contracts_keep_newest, then rerun this job from load_fact")
        say("INFO", "rolled back, 0 rows kept")
        return 1
    say("INFO", f"FACT_CONTRACT: {count:,} rows")
    return 0


def publish(date: str) -> int:
    count = db("rdv").execute("SELECT count(*) FROM fact_contract WHERE business_date = ?", (date,)).fetchone()[0]
    say("INFO", f"published {count:,} contracts of {date}")
    return 0


def keep_newest(date: str) -> int:
    ldz = db("ldz")
    gone = rows(
        ldz, "DELETE FROM stg_contract WHERE version < (SELECT max(version) FROM stg_contract b WHERE b.id = stg_contract.id AND b.bd = stg_contract.bd)"
    )  # fmt: skip
    say("INFO", f"{gone} older versions removed from STG_CONTRACT; load_fact can run again")
    return 0


# --- 360 and write-back ---------------------------------------------------------------------------------------------------


def customer_360(date: str) -> int:
    cdm = db("cdm", "rdv")
    cdm.execute(
        "CREATE TABLE IF NOT EXISTS customer_360(hk TEXT, bd TEXT, segment TEXT, spend REAL, score REAL, PRIMARY KEY(hk, bd)) WITHOUT ROWID"
    )
    rows(cdm, "DELETE FROM customer_360 WHERE bd = ? OR bd < date(?, '-2 days')", date, date)
    count = rows(
        cdm,
        "INSERT INTO customer_360 SELECT s.hk, s.bd, s.segment, coalesce(t.spend, 0), NULL FROM rdv.sat_customer s LEFT JOIN "
        "(SELECT hk_account, sum(amount) AS spend FROM rdv.link_txn WHERE bd = ? GROUP BY hk_account) t ON t.hk_account = s.hk WHERE s.bd = ?",
        date, date,
    )  # fmt: skip
    say("INFO", f"customer_360: {count:,} customers")
    return 0


def campaign_360(date: str) -> int:
    """A partial load: rows without a spend cannot be placed; exit code 3 is declared to mean a warning."""
    cdm = db("cdm")
    cdm.execute(
        "CREATE TABLE IF NOT EXISTS campaign_360(hk TEXT, bd TEXT, campaign TEXT, PRIMARY KEY(hk, bd)) WITHOUT ROWID"
    )
    rows(cdm, "DELETE FROM campaign_360 WHERE bd = ? OR bd < date(?, '-2 days')", date, date)
    total = cdm.execute("SELECT count(*) FROM customer_360 WHERE bd = ?", (date,)).fetchone()[0]
    placed = rows(
        cdm,
        "INSERT INTO campaign_360 SELECT hk, bd, segment || '-2026' FROM customer_360 WHERE bd = ? AND NOT (spend > 0 AND spend <= 3)",
        date,
    )
    say("INFO", f"campaign_360: {placed:,} of {total:,} customers placed")
    if placed < total:
        say("WARN", f"{total - placed:,} of {total:,} rows rejected: spend below 3")
        return 3
    return 0


def flowchart_360(date: str) -> int:
    """Slow on purpose, and honest about how far it is: something to watch, hold and stop."""
    cdm = db("cdm", "rdv")
    cdm.execute(
        "CREATE TABLE IF NOT EXISTS flowchart_360(hk TEXT, bd TEXT, path TEXT, PRIMARY KEY(hk, bd)) WITHOUT ROWID"
    )
    rows(cdm, "DELETE FROM flowchart_360 WHERE bd = ? OR bd < date(?, '-2 days')", date, date)
    known = cdm.execute("SELECT 1 FROM rdv.sqlite_master WHERE name = 'hub_customer'").fetchone()
    keys = [r[0] for r in cdm.execute("SELECT hk FROM rdv.hub_customer ORDER BY hk")] if known else []
    keys = keys or [f"h{i}" for i in range(CUSTOMERS)]
    batches = 60
    size = max(1, -(-len(keys) // batches))
    for number in range(batches):
        part = keys[number * size : (number + 1) * size]
        with cdm:
            cdm.executemany(
                "INSERT OR REPLACE INTO flowchart_360 VALUES (?,?,?)", ((k, date, f"p{hash(k) % 7}") for k in part)
            )
        say("INFO", f"merge batch {number + 1} of {batches}  {len(part):,} rows")
        time.sleep(1.0)
    return 0


def score(date: str) -> int:
    ingest = db("ingest", "cdm")
    ingest.execute("CREATE TABLE IF NOT EXISTS score(hk TEXT, bd TEXT, score REAL, PRIMARY KEY(hk, bd)) WITHOUT ROWID")
    rows(ingest, "DELETE FROM score WHERE bd = ? OR bd < date(?, '-2 days')", date, date)
    count = rows(
        ingest, "INSERT INTO score SELECT hk, bd, min(1.0, spend / 100.0) FROM cdm.customer_360 WHERE bd = ?", date
    )
    say("INFO", f"model scored {count:,} customers")
    return 0


def write_back(date: str) -> int:
    cdm = db("cdm", "ingest")
    count = rows(
        cdm, "UPDATE customer_360 SET score = (SELECT s.score FROM ingest.score s WHERE s.hk = customer_360.hk AND s.bd = customer_360.bd) WHERE bd = ?", date
    )  # fmt: skip
    say("INFO", f"customer_360 enriched: {count:,} rows; the CRM collects the scores within half a minute")
    (DATA / "scores_sent").write_text(str(time.time()))
    return 0


def scores_taken(date: str) -> int:
    """Not a step but a check of ``done_when``: the CRM answers some seconds after the write-back has ended."""
    sent = DATA / "scores_sent"
    age = time.time() - float(sent.read_text()) if sent.exists() else 0.0
    if age < 20:
        print(f"the CRM has not collected the scores of {date} yet")
        return 1
    print(f"the CRM has the scores of {date}")
    return 0


def train_churn(date: str) -> int:
    """Four minutes, as usual; its schedule leaves it three."""
    epochs = 20
    for number in range(epochs):
        time.sleep(12.2)
        say("INFO", f"epoch {number + 1} of {epochs}  loss {0.69 * 0.9**number:.3f}")
    say("INFO", f"churn model of {date} trained and stored")
    return 0


# --- housekeeping ---------------------------------------------------------------------------------------------------------


def dedup_txn(date: str) -> int:
    """Thirty-five seconds; every third time a lock makes it almost four times as long."""
    slow = turn("dedup") % 3 == 1
    rdv = db("rdv")
    batches = 35
    for number in range(batches):
        if slow and number % 7 == 1:
            say("WARN", "waiting for a lock on link_txn")
        if number % 7 == 0:
            say("INFO", f"batch {number + 1} of {batches}")
        time.sleep(3.8 if slow else 1.0)
    known = rdv.execute("SELECT 1 FROM sqlite_master WHERE name = 'link_txn'").fetchone()
    count = rdv.execute("SELECT count(*) FROM link_txn WHERE bd = ?", (date,)).fetchone()[0] if known else 0
    say("INFO", f"link_txn: {count:,} rows looked at, 0 doubles")
    return 0


def back_up(date: str) -> int:
    """Copies the vault and gives a sign of life; every third time it leaves early, and is as green as ever."""
    silent = turn("backup") % 3 == 2
    vault = db("rdv")
    if silent:
        say("INFO", "the vault is in use, nothing copied")
        return 0
    copy = sqlite3.connect(DATA / "rdv.backup")
    vault.backup(copy)
    copy.close()
    size = (DATA / "rdv.backup").stat().st_size
    say("INFO", f"vault of {date} copied: {size / 1e6:.1f} MB")
    words = f"{size / 1e6:.1f} MB copied"
    told = subprocess.run(
        [sys.executable, "-P", "-m", "tui.cli", "ping", "vault-backup", "ok", words, "--demo"], check=False
    )
    return told.returncode


# --- a partner's file that comes late ---------------------------------------------------------------------------------------


def partner_drop(date: str) -> int:
    """The partner, played: the file arrives when it arrives."""
    wait = random.randint(8, 15)
    say("INFO", f"partner is {wait} s late today")
    time.sleep(wait)
    LANDING.mkdir(exist_ok=True)
    part = LANDING / f".crm_{date}.part"
    part.write_text("hk,consent\n" + "".join(f"h{i},{i % 2}\n" for i in range(2000)))
    part.rename(LANDING / f"crm_{date}.csv")
    say("INFO", f"landing/crm_{date}.csv arrived")
    return 0


def wait_file(date: str) -> int:
    file = LANDING / f"crm_{date}.csv"
    began, since = time.monotonic(), time.time() - 5  # both jobs begin at one tick
    while not (file.exists() and file.stat().st_mtime > since):
        waited = int(time.monotonic() - began)
        if waited >= 120:
            say("ERROR", f"source file {file} did not come within 120 s")
            return 1
        if waited % 5 == 0:
            say("WARN", f"source file {file} is late: waiting since {waited} s")
        time.sleep(1)
    say("INFO", f"source file {file} is there after {int(time.monotonic() - began)} s")
    return 0


def load_crm(date: str) -> int:
    cdm = db("cdm")
    cdm.execute("CREATE TABLE IF NOT EXISTS crm(hk TEXT, bd TEXT, consent INTEGER, PRIMARY KEY(hk, bd)) WITHOUT ROWID")
    file = LANDING / f"crm_{date}.csv"
    lines = file.read_text().splitlines()[1:]
    rows(cdm, "DELETE FROM crm WHERE bd = ? OR bd < date(?, '-2 days')", date, date)
    with cdm:
        cdm.executemany(
            "INSERT INTO crm VALUES (?,?,?)", ((a, date, int(b)) for a, b in (line.split(",") for line in lines))
        )
    say("INFO", f"crm: {len(lines):,} consents loaded")
    return 0


STEPS: dict[str, Callable[[str], int]] = {
    f.__name__: f
    for f in (
        fill_mart, land, compare_counts, hubs, satellites, check_source, extract_contracts, load_fact, publish, keep_newest,
        customer_360, campaign_360, flowchart_360, score, write_back, scores_taken, train_churn, dedup_txn, back_up,
        partner_drop, wait_file, load_crm,
    )
}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("step", choices=sorted(STEPS))
    parser.add_argument("--date", required=True)
    args = parser.parse_args()
    return STEPS[args.step](args.date)


if __name__ == "__main__":
    sys.exit(main())
