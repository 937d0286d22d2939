"""The tables of a gradebook: made at once, and held against those that this nbgrader and this gdlab use.

An older gradebook is never written to.

nbgrader numbers its tables with Alembic's revisions, the ledger its own with a layout.
"""

from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from nbgrader.api import Base
from nbgrader.dbutil import ALEMBIC_DIR
from sqlalchemy import Connection, Engine, create_engine, event, inspect, text

from gdlab.grading.database import NoDatabase, named
from gdlab.grading.ledger import require_known_layout


def require_todays_tables(url: str, name: str = "") -> None:
    """Raises `NoDatabase` where an older nbgrader or a newer gdlab made the tables; asked before nbgrader adds its own.

    Args:
        url: the database's.
        name: what to call it, if not by its URL.
    """
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            if (
                _nbgraders_tables(connection)
                and revision_of(connection) != ScriptDirectory(ALEMBIC_DIR).get_current_head()
            ):
                raise NoDatabase(f"{name or named(url)} was made by an older nbgrader: run gdlab db upgrade first.")
        require_known_layout(engine)
    finally:
        engine.dispose()


def revision_of(connection: Connection) -> str | None:
    """Which of nbgrader's migrations a database has come to."""
    return MigrationContext.configure(connection).get_current_revision()


def _nbgraders_tables(database: Engine | Connection) -> set[str]:
    return Base.metadata.tables.keys() & set(inspect(database).get_table_names())


def note_revision(connection: Connection, revision: str) -> None:
    """Note, in new tables, which of nbgrader's migrations they have come to: what `revision_of` reads."""
    connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)"))
    connection.execute(text("INSERT INTO alembic_version VALUES (:revision)"), {"revision": revision})


def make_tables(url: str) -> None:
    """Make nbgrader's tables where there are none: all of them or, should this be killed meanwhile, none.

    nbgrader makes them one by one and notes their version last; a gradebook without that note passes for an old one.
    """
    engine = create_engine(url)
    try:
        if _nbgraders_tables(engine):  # asked without a lock: whoever only reads waits for nobody who writes
            return
        if engine.dialect.name == "sqlite":
            _take_transactions_seriously(engine)
            engine.dispose()  # the connection that was made before
        with engine.begin() as connection:
            if _nbgraders_tables(connection):
                return
            Base.metadata.create_all(connection)
            note_revision(connection, ScriptDirectory(ALEMBIC_DIR).get_current_head())
    finally:
        engine.dispose()


def _take_transactions_seriously(engine: Engine) -> None:
    """Python's sqlite3 begins none before a table is made. Source: "Serializable isolation" in SQLAlchemy's SQLite dialect."""

    @event.listens_for(engine, "connect")
    def leave_beginning_to_us(connection, record) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def begin(connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
