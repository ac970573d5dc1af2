"""The tables of a journal in a SQL database, and the statements that read and extend it."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Insert,
    Integer,
    LargeBinary,
    MetaData,
    Select,
    Table,
    Update,
    bindparam,
    func,
    insert,
    inspect,
    literal_column,
    select,
    update,
)

from engine.journal.journal import JournalDamaged, JournalVersion

__all__ = [
    "APPEND_RECORD",
    "END",
    "FRAMES",
    "LENGTHS",
    "MOVE_HEAD",
    "MOVE_HEAD_AND_APPEND",
    "START",
    "create",
    "exists",
]

SCHEMA_VERSION = 1

_Int64 = BigInteger().with_variant(
    Integer(), "sqlite"
)  # only INTEGER PRIMARY KEY is SQLite's own row id, without a second index

METADATA = MetaData()

JOURNAL = Table(
    "journal",
    METADATA,
    Column("version", Integer, nullable=False),
    Column("first_seq", _Int64, primary_key=True, autoincrement=False),
    Column("decisions", _Int64, nullable=False),
    Column("body_length", _Int64, nullable=False),
    Column("previous", _Int64, nullable=False),
    Column("checksum", _Int64, nullable=False),
    Column("body", LargeBinary, nullable=False),  # last, so that the other columns are read without it
)

HEAD = Table(
    "journal_head",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("seq", _Int64, nullable=False),
    Column("checksum", _Int64, nullable=False),
    postgresql_with={"fillfactor": 10},  # room on its page: the row is rewritten by every append
)

SCHEMA = Table(
    "journal_schema",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("version", Integer, nullable=False),
)

_ONLY = literal_column(
    "1", Integer
)  # id of the only row of HEAD and of SCHEMA; a literal, not one more parameter to bind

MOVE_HEAD: Update = (
    update(HEAD)
    .where(
        HEAD.c.id == _ONLY,
        HEAD.c.seq == bindparam("expected_seq", type_=_Int64),
        HEAD.c.checksum == bindparam("previous", type_=_Int64),
    )
    .values(seq=bindparam("last_seq", type_=_Int64), checksum=bindparam("checksum", type_=_Int64))
)
"""The fence: changes one row when the journal still ends at (`expected_seq`, `previous`), else none."""

APPEND_RECORD: Insert = insert(JOURNAL)

_MOVED = MOVE_HEAD.returning(HEAD.c.seq).cte("moved")

MOVE_HEAD_AND_APPEND: Insert = insert(JOURNAL).from_select(
    [column.name for column in JOURNAL.c],
    select(*(bindparam(column.name, type_=column.type) for column in JOURNAL.c)).select_from(_MOVED),
)
"""Fence and record in one statement, hence one round trip. Inserts no row when the fence did not hold."""

END: Select[tuple[int, int, int, int, int]] = (
    select(HEAD.c.seq, HEAD.c.checksum, JOURNAL.c.first_seq, JOURNAL.c.decisions, JOURNAL.c.checksum)
    .select_from(HEAD)
    .outerjoin(JOURNAL, JOURNAL.c.first_seq == select(func.max(JOURNAL.c.first_seq)).scalar_subquery())
    .where(HEAD.c.id == _ONLY)
)
"""Head and last record as one snapshot sees them."""

START: Select[tuple[int | None]] = select(func.max(JOURNAL.c.first_seq)).where(
    JOURNAL.c.first_seq <= bindparam("from_seq")
)

_RANGE = JOURNAL.c.first_seq.between(bindparam("from_seq"), bindparam("to_seq"))

LENGTHS: Select[tuple[int, int]] = (
    select(JOURNAL.c.first_seq, JOURNAL.c.body_length)
    .where(_RANGE)
    .order_by(JOURNAL.c.first_seq)
    .limit(bindparam("rows"))
)

FRAMES = select(JOURNAL).where(_RANGE).order_by(JOURNAL.c.first_seq)


def exists(connection: Connection) -> bool:
    """True when the database holds a journal this engine can use, False when it holds none.

    Raises JournalVersion when a newer engine made it, JournalDamaged when only parts of it are there.
    """
    names = inspect(
        connection
    ).get_table_names()  # one query: table by table, one could see half of what another is making
    present = [table for table in METADATA.sorted_tables if table.name in names]
    if not present:
        return False
    if SCHEMA in present:
        version = connection.execute(select(SCHEMA.c.version)).scalar()
        if version is None:
            raise JournalDamaged(None, f"table {SCHEMA.name} has no row")
        if version > SCHEMA_VERSION:
            raise JournalVersion(version, SCHEMA_VERSION)
    missing = sorted(table.name for table in METADATA.sorted_tables if table not in present)
    if missing:
        raise JournalDamaged(None, f"table {', '.join(missing)} is missing")
    return True


def create(connection: Connection) -> None:
    """Make the tables of an empty journal. The caller has started a transaction that no other creator shares."""
    METADATA.create_all(connection)
    connection.execute(insert(SCHEMA).values(id=_ONLY, version=SCHEMA_VERSION))
    connection.execute(insert(HEAD).values(id=_ONLY, seq=0, checksum=0))
