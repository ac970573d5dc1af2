"""The tables of a journal in a SQL database, and the statements that read and extend it."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Delete,
    Insert,
    Integer,
    LargeBinary,
    MetaData,
    Select,
    Table,
    Update,
    and_,
    bindparam,
    delete,
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
    "DROP_RECORDS",
    "END",
    "FRAMES",
    "LENGTHS",
    "MARK",
    "MOVE_CUT",
    "MOVE_HEAD",
    "MOVE_HEAD_AND_APPEND",
    "START",
    "create",
    "upgrade",
    "version_of",
]

SCHEMA_VERSION = 2
"""1: journals that were never cut, without the table `journal_cut`; they get it when they are opened."""

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

CUT = Table(
    "journal_cut",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("seq", _Int64, nullable=False),
    Column("checksum", _Int64, nullable=False),
    Column("origin", _Int64, nullable=False),
)
"""The place up to which records were cut off: see `Mark`. All 0 while the journal is whole."""

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

END: Select[tuple[int, int, int, int, int, int, int, int]] = (
    select(
        *(HEAD.c.seq, HEAD.c.checksum),
        *(CUT.c.seq, CUT.c.checksum, CUT.c.origin),
        *(JOURNAL.c.first_seq, JOURNAL.c.decisions, JOURNAL.c.checksum),
    )
    .select_from(HEAD)
    .outerjoin(CUT, CUT.c.id == _ONLY)
    .outerjoin(JOURNAL, JOURNAL.c.first_seq == select(func.max(JOURNAL.c.first_seq)).scalar_subquery())
    .where(HEAD.c.id == _ONLY)
)
"""Head, cut and last record as one snapshot sees them."""

_ENDING, _FOLLOWING, _FIRST = JOURNAL.alias("ending"), JOURNAL.alias("following"), JOURNAL.alias("first")
_SEQ = bindparam("seq", type_=_Int64)

MARK: Select[tuple[int, int, int, int, int, int]] = (
    select(
        *(CUT.c.seq, CUT.c.checksum, CUT.c.origin),
        _ENDING.c.checksum.label("ending"),
        _FOLLOWING.c.previous.label("following"),
        _FIRST.c.checksum.label("first"),
    )
    .select_from(CUT)
    .outerjoin(
        _ENDING,
        and_(
            _ENDING.c.first_seq
            == select(func.max(JOURNAL.c.first_seq)).where(JOURNAL.c.first_seq <= _SEQ).scalar_subquery(),
            _ENDING.c.first_seq + _ENDING.c.decisions - 1 == _SEQ,
        ),
    )
    .outerjoin(_FOLLOWING, _FOLLOWING.c.first_seq == _SEQ + 1)
    .outerjoin(_FIRST, _FIRST.c.first_seq == 1)
    .where(CUT.c.id == _ONLY)
)
"""The cut; checksum of the record that ends at `seq`; what the next one has for it; checksum of the first record of all."""

MOVE_CUT: Update = (
    update(CUT)
    .where(CUT.c.id == _ONLY, CUT.c.seq < _SEQ)
    .values(seq=_SEQ, checksum=bindparam("checksum", type_=_Int64), origin=bindparam("origin", type_=_Int64))
)
"""Changes one row unless that much was cut already; in one transaction with `DROP_RECORDS`."""

DROP_RECORDS: Delete = delete(JOURNAL).where(JOURNAL.c.first_seq <= _SEQ)

START: Select[tuple[int | None]] = select(func.max(JOURNAL.c.first_seq)).where(
    JOURNAL.c.first_seq <= bindparam("from_seq")
)

_RANGE = JOURNAL.c.first_seq.between(bindparam("from_seq"), bindparam("to_seq"))

LENGTHS: Select[tuple[int, int, int]] = (
    select(JOURNAL.c.first_seq, JOURNAL.c.decisions, JOURNAL.c.body_length)
    .where(_RANGE)
    .order_by(JOURNAL.c.first_seq)
    .limit(bindparam("rows"))
)

FRAMES = select(JOURNAL).where(_RANGE).order_by(JOURNAL.c.first_seq)


def version_of(connection: Connection) -> int:
    """Version of the journal that the database holds, 0 when it holds none.

    Raises JournalVersion when a newer engine made it, JournalDamaged when only parts of it are there.
    """
    names = _names(connection)
    present = [table for table in METADATA.sorted_tables if table.name in names]
    if not present:
        return 0
    version = SCHEMA_VERSION
    if SCHEMA in present:
        version = connection.execute(select(SCHEMA.c.version)).scalar() or 0
        if not version:
            raise JournalDamaged(None, f"table {SCHEMA.name} has no row")
        if version > SCHEMA_VERSION:
            raise JournalVersion(version, SCHEMA_VERSION)
    missing = [table.name for table in METADATA.sorted_tables if table not in present]
    if version < SCHEMA_VERSION and CUT.name in missing:
        missing.remove(CUT.name)
    if missing:
        raise JournalDamaged(None, f"table {', '.join(sorted(missing))} is missing")
    return version


def upgrade(connection: Connection) -> None:
    """Give a journal of an older version what it lacks. The caller has started a transaction that no other upgrade shares."""
    CUT.create(connection, checkfirst=True)
    _begin_whole(connection)
    connection.execute(update(SCHEMA).values(version=SCHEMA_VERSION))


def create(connection: Connection) -> None:
    """Make the tables of an empty journal. The caller has started a transaction that no other creator shares."""
    METADATA.create_all(connection)
    connection.execute(insert(SCHEMA).values(id=_ONLY, version=SCHEMA_VERSION))
    connection.execute(insert(HEAD).values(id=_ONLY, seq=0, checksum=0))
    _begin_whole(connection)


def _begin_whole(connection: Connection) -> None:
    connection.execute(insert(CUT).values(id=_ONLY, seq=0, checksum=0, origin=0))


def _names(connection: Connection) -> list[str]:
    # One query: table by table, one could see half of what another is making.
    return inspect(connection).get_table_names()
