"""Which tables a database has, held against those that this nbgrader and this gdlab use: an older gradebook is never written to.

nbgrader numbers its tables with Alembic's revisions, the ledger its own with a layout.
"""

from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from nbgrader.api import Base
from nbgrader.dbutil import ALEMBIC_DIR
from sqlalchemy import Connection, create_engine, inspect

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
            nbgraders = Base.metadata.tables.keys() & set(inspect(connection).get_table_names())
            if nbgraders and revision_of(connection) != ScriptDirectory(ALEMBIC_DIR).get_current_head():
                raise NoDatabase(f"{name or named(url)} was made by an older nbgrader: run gdlab db upgrade first.")
        require_known_layout(engine)
    finally:
        engine.dispose()


def revision_of(connection: Connection) -> str | None:
    """Which of nbgrader's migrations a database has come to."""
    return MigrationContext.configure(connection).get_current_revision()
