"""What to do in a notebook in place of the backslash commands of psql and pgspecial that are not carried out here.

They write files, run programs, change the session or the display, or list what is rarely asked for.
"""

_TABLE = r"""
\i \ir \include \include_relative: use --file PATH
\copy: use %pgmonkey export PATH SQL, %pgmonkey upload DF TABLE, or --copy-to and --copy-from with a COPY of your own
\o \out \w \write \g: use %pgmonkey export PATH SQL
\gx: bind the result (`name <<`) and show it with pandas: name.T
\x \a \t \T \H \C \f \pset \crosstabview \pager: bind the result (`name <<`) and show it with pandas: name.T, name.style
\watch \if \elif \else \endif \gexec \echo \qecho \warn \prompt: use Python around %pgmonkey
\set \unset \gset \bind \parse: assign a Python variable and write :name in the SQL
\c \connect \conninfo: use %pgmonkey connect FILE, %pgmonkey use NAME or %pgmonkey pools
\q \quit: use %pgmonkey disconnect
\n \ns \nd \np: keep the SQL in a Python string, or in a file for --file PATH
\e \edit \ef \ev \p \print \r \reset: edit the cell itself; \sf NAME and \d+ NAME show definitions
\timing: look at the footer, which tells the time of every cell
\refresh: leave it out, nothing is kept that could be out of date
\log-file: use Python's logging; the logger is pgmonkey_magic
\!: use IPython's !command
\cd: use IPython's %cd
\s: use IPython's %history
\setenv \getenv: use os.environ
\password: use ALTER ROLE name PASSWORD :'variable'
\encoding: use SHOW client_encoding
\errverbose: use %config PgMonkey.short_errors = False
\gdesc: look at the dtypes of the DataFrame
\h \help: look the syntax up at https://www.postgresql.org/docs/current/sql-commands.html
\da: use \dfa
\det: use \dE
\dP: use \dti
\drg: use \du
\sv: use \d+ NAME, which shows the definition of a view
\dconfig: use SHOW NAME, or SELECT from pg_settings
\dA: SELECT from pg_am
\dc: SELECT from pg_conversion
\dC: SELECT from pg_cast
\dd: SELECT from pg_description
\des: SELECT from pg_foreign_server
\deu: SELECT from pg_user_mappings
\dew: SELECT from pg_foreign_data_wrapper
\dFd: SELECT from pg_ts_dict
\dFp: SELECT from pg_ts_parser
\dFt: SELECT from pg_ts_template
\dl \lo_list: SELECT from pg_largeobject_metadata
\dL: SELECT from pg_language
\do: SELECT from pg_operator
\dO: SELECT from pg_collation
\drds: SELECT from pg_db_role_setting
\dRp: SELECT from pg_publication
\dRs: SELECT from pg_subscription
\dX: SELECT from pg_statistic_ext
\dy: SELECT from pg_event_trigger
"""
INSTEAD = {
    word: cure
    for words, _, cure in (line.partition(": ") for line in _TABLE.strip().split("\n"))
    for word in words.split()
}
"""The cure by the command's word."""
