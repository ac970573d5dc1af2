"""What shop systems do: an ORM, SELECT FOR UPDATE of each line's row, a row for the reservation and one for each line; sixteen threads."""

from __future__ import annotations

import random
import threading
import time
from datetime import UTC, datetime, timedelta

from sqlalchemy import ForeignKey, SmallInteger, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from benchmarks.peers.postgres import DATABASE, PostgresPeer, picked
from benchmarks.peers.recount import RecountError


class Table(DeclarativeBase):
    """The tables of ``schema.sql``."""


class Stock(Table):
    """Units of a SKU at a node."""

    __tablename__ = "stock"
    sku: Mapped[int] = mapped_column(primary_key=True)
    node: Mapped[int] = mapped_column(primary_key=True)
    on_hand: Mapped[int]
    reserved: Mapped[int]


class ReservationLine(Table):
    """One line of a reservation."""

    __tablename__ = "reservation_line"
    reservation_id: Mapped[int] = mapped_column(ForeignKey("reservation.reservation_id"), primary_key=True)
    line: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    sku: Mapped[int]
    units: Mapped[int]


class Reservation(Table):
    """A reservation."""

    __tablename__ = "reservation"
    reservation_id: Mapped[int] = mapped_column(primary_key=True)
    node: Mapped[int]
    state: Mapped[int] = mapped_column(SmallInteger)
    expires_at: Mapped[datetime]
    lines: Mapped[list[ReservationLine]] = relationship()


def reserve(session: Session, node: int, lines: list[tuple[int, int]]) -> int:
    """Both lines at the node, or nothing; the id of the reservation, or 0. Rows are locked in the order of their SKU."""
    with session.begin():
        for sku, units in sorted(lines):
            row = session.execute(
                select(Stock).where(Stock.sku == sku, Stock.node == node).with_for_update()
            ).scalar_one()
            if row.on_hand - row.reserved < units:
                session.rollback()
                return 0
            row.reserved += units
        made = Reservation(node=node, state=1, expires_at=datetime.now(UTC) + timedelta(minutes=15))
        made.lines = [ReservationLine(line=n, sku=sku, units=units) for n, (sku, units) in enumerate(lines)]
        session.add(made)
        session.flush()
        return made.reservation_id


def run(peer: PostgresPeer, threads: int, for_s: float) -> float:
    """Reservations a second of so many threads, each with a connection of its own; what was granted is told to the peer.

    Raises:
        RecountError: one was refused, though there is stock for all.
    """
    engine = create_engine(f"postgresql+psycopg://postgres@/{DATABASE}?host={peer.socket_folder}", pool_size=threads)
    made = [0] * threads
    barrier = threading.Barrier(threads + 1)

    def shop(thread: int) -> None:
        chance = random.Random(thread)
        with Session(engine, expire_on_commit=False) as session:
            session.connection()
            session.rollback()
            barrier.wait()
            end = time.monotonic() + for_s
            while time.monotonic() < end:
                first, first_units, second, second_units, node = picked(peer.world, chance)
                if not reserve(session, node, [(first, first_units), (second, second_units)]):
                    return
                made[thread] += 1
                session.expunge_all()

    shoppers = [threading.Thread(target=shop, args=(thread,)) for thread in range(threads)]
    for each in shoppers:
        each.start()
    barrier.wait()
    begun = time.monotonic()
    for each in shoppers:
        each.join()
    elapsed_s = time.monotonic() - begun
    engine.dispose()
    peer.expect(sum(made))
    if elapsed_s < for_s:
        raise RecountError("the ORM refused a reservation, though there is stock for all")
    return sum(made) / elapsed_s
