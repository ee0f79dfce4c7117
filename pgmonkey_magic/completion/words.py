"""Keywords that are known without a server, by what they are to a person who types.

Only a fixed core; a server's own complete list comes with its catalogue (pg_get_keywords).
"""

from __future__ import annotations

COMMANDS = tuple(
    """
    abort alter analyze begin call checkpoint close cluster comment commit copy create deallocate declare delete discard
    do drop end execute explain fetch grant import insert listen load lock merge move notify prepare reassign refresh
    reindex release reset revoke rollback savepoint select set show start table truncate unlisten update vacuum values
    with
    """.split()  # noqa: SIM905 - a list of words is read as such
)
"""What a statement may begin with."""

CORE = tuple(
    """
    select from where group by order having limit offset join inner left right full cross natural lateral on using as
    and or not in exists between like ilike similar is null true false distinct all any case when then else end cast
    union intersect except with recursive insert into values update set delete returning conflict do nothing default
    over partition window filter within rows range groups preceding following current row unbounded asc desc nulls
    first last fetch next only for share array collate interval coalesce nullif greatest least extract create alter
    drop table view materialized index sequence schema function procedure trigger type column constraint primary
    foreign key references unique check cascade restrict if replace temporary explain analyze verbose begin commit
    rollback savepoint grant revoke to truncate copy language returns add rename merge matched tablesample ordinality
    """.split()  # noqa: SIM905
)

OPERAND_FOLLOWS = frozenset(
    """
    all and any array asymmetric between by case distinct else except extract having ilike in intersect interval like
    limit not offset on or returning select similar some symmetric then union when where
    """.split()  # noqa: SIM905
)
"""Keywords after which an expression begins or goes on; after any other word one has ended."""

ENDS_FROM = frozenset(
    """
    conflict except fetch for group having intersect limit matched offset order returning select set union values when
    where window
    """.split()  # noqa: SIM905
)
"""Keywords that end the list of relations."""

NO_ALIAS = ENDS_FROM | frozenset(
    """
    add alter as cascade check column cross default disable drop enable from full inner into is join lateral left limit
    natural not on overriding owner rename replica restrict right tablesample to using with
    """.split()  # noqa: SIM905
)
"""What after a relation is not its alias."""

SET_OPERATIONS = frozenset({"union", "intersect", "except"})
BEGINS_QUERY = frozenset({"select", "with", "values", "table", "insert", "update", "delete", "merge"})
SPEAKS_FROM = frozenset({"extract", "substring", "trim", "overlay", "position"})
"""Functions whose arguments are told apart by FROM."""
COMPARISONS = frozenset("=<>!")
UPDATES_NOTHING = frozenset({"for", "do", "on", "then", "key", "or", "after", "before", ","})
"""Words after which UPDATE is no command that names a relation: FOR UPDATE, DO UPDATE, THEN UPDATE."""
