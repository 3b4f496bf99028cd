"""SQLAlchemy: Core, ORM and reflection, on psycopg and on asyncpg's and psycopg's dialects."""

import asyncio

from sqlalchemy import (ForeignKey, MetaData, String, Table, create_engine, func, inspect, select, text)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import (DeclarativeBase, Mapped, Session, aliased, joinedload, mapped_column, relationship, selectinload)

from story import MASKED, masked, run, show, tell

engine = create_engine("postgresql+psycopg://", pool_size=2)


class Base(DeclarativeBase):
    pass


class Customer(Base):
    __tablename__ = "customers"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    ssn: Mapped[str | None]
    email: Mapped[str | None]
    city: Mapped[str | None]
    tier: Mapped[int | None]
    payments: Mapped[list["Payment"]] = relationship(back_populates="customer", order_by="Payment.id")


class Payment(Base):
    __tablename__ = "payments"
    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"))
    card_number: Mapped[str | None]
    cents: Mapped[int]
    customer: Mapped[Customer] = relationship(back_populates="payments")


class Item(Base):
    __tablename__ = "drv_items"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String, unique=True)
    qty: Mapped[int]
    note: Mapped[str | None]


def connect():
    with engine.connect() as connection:
        tell("connect", engine.dialect.server_version_info, engine.dialect.default_schema_name,
             connection.scalar(text("SELECT 'here'")))
        connection.rollback()
        isolated = connection.execution_options(isolation_level="SERIALIZABLE")
        tell("connect isolation", isolated.scalar(text("SHOW transaction_isolation")))


def reflect():
    seen = inspect(engine)
    tell("reflect", seen.get_schema_names(), sorted(seen.get_table_names()), seen.get_view_names())
    for table in ("customers", "payments", "drv_items", "drv_types"):
        tell("reflect columns", table, [(c["name"], str(c["type"]), c["nullable"], c["default"]) for c in seen.get_columns(table)])
        tell("reflect keys", table, seen.get_pk_constraint(table), seen.get_foreign_keys(table))
        tell("reflect indexes", table, seen.get_indexes(table), seen.get_unique_constraints(table))
        tell("reflect checks", table, seen.get_check_constraints(table), seen.get_table_comment(table))
    tell("reflect view", seen.get_view_definition("contacts"))
    tell("reflect enums", seen.get_sequence_names(), seen.has_table("drv_items"), seen.has_table("nobody"))
    tell("reflect table", [c.name for c in Table("patients", MetaData(), autoload_with=engine).columns])


def orm():
    with Session(engine) as session:
        session.add_all([Item(name=f"orm {n}", qty=n) for n in range(50)])
        session.commit()
        item = session.scalars(select(Item).where(Item.name == "orm 7")).one()
        item.qty += 100
        session.flush()
        tell("orm", item.qty, session.scalar(select(func.count()).select_from(Item)))
        with session.begin_nested() as nested:
            session.delete(item)
            session.flush()
            nested.rollback()
        tell("orm savepoint", session.scalar(select(Item.qty).where(Item.name == "orm 7")))
        session.commit()
        try:
            session.add(Item(name="orm 1", qty=1))
            session.flush()
        except IntegrityError as error:
            tell("orm error", error.orig.sqlstate, error.orig.diag.constraint_name)
            session.rollback()
    with engine.begin() as connection:
        upsert = insert(Item).values(name="orm 1", qty=5)
        upsert = upsert.on_conflict_do_update(index_elements=[Item.name], set_={"qty": upsert.excluded.qty}).returning(Item.qty)
        tell("upsert", connection.scalar(upsert))
        many = connection.execute(insert(Item).returning(Item.name, sort_by_parameter_order=True),
                                  [{"name": f"bulk {n}", "qty": n} for n in range(500)])
        tell("insertmanyvalues", len(many.all()))


def queries():
    with Session(engine) as session:
        rows = session.execute(select(Customer.name, func.count(Payment.id)).outerjoin(Payment).group_by(Customer.name).order_by(Customer.name))
        tell("join", [list(row) for row in rows])
        other = aliased(Payment)
        page = select(Customer.id, Customer.city, other.cents).join(other, other.customer_id == Customer.id).order_by(Customer.id).limit(1).offset(1)
        tell("page", [list(row) for row in session.execute(page)])
        sub = select(Payment.customer_id, func.sum(Payment.cents).label("total")).group_by(Payment.customer_id).cte("totals")
        tell("cte", [list(row) for row in session.execute(select(Customer.name, sub.c.total).join(sub, sub.c.customer_id == Customer.id).order_by(Customer.id))])
        ranked = select(Customer.name, func.row_number().over(partition_by=Customer.tier, order_by=Customer.id))
        tell("window", sorted(show(list(row)) for row in session.execute(ranked)))
        result = session.execute(select(Item.name).order_by(Item.id).execution_options(yield_per=100))
        tell("stream", sum(len(part) for part in result.partitions()))


def hidden():
    with Session(engine) as session:
        loaded = session.scalars(select(Customer).options(selectinload(Customer.payments)).order_by(Customer.id)).all()
        tell("masked orm", [(one.ssn, one.email, [payment.card_number for payment in one.payments]) for one in loaded])
        joined = session.scalars(select(Payment).options(joinedload(Payment.customer)).order_by(Payment.id)).all()
        tell("masked joined", [(one.card_number, one.customer.ssn) for one in joined])
    table = Table("patients", MetaData(), autoload_with=engine)
    with engine.connect() as connection:
        masked(connection.execute(select(*(table.c[name] for name in MASKED)).where(table.c.id == 1)).mappings().one())


def with_asyncpg():
    async def story():
        made = create_async_engine("postgresql+asyncpg://")
        async with made.connect() as connection:
            tell("asyncpg", [list(row) for row in await connection.execute(select(Customer.id, Customer.name).order_by(Customer.id))])
            table = await connection.run_sync(lambda sync: Table("patients", MetaData(), autoload_with=sync))
            masked((await connection.execute(select(table).where(table.c.id == 1))).mappings().one())
            try:
                await connection.execute(text("SELECT 1/0"))
            except DBAPIError as error:
                tell("asyncpg error", error.orig.sqlstate)
        await made.dispose()
    asyncio.run(story())


run([("connect", connect), ("reflect", reflect), ("orm", orm), ("queries", queries), ("masked", hidden), ("asyncpg", with_asyncpg)])
