"""What may stand at a place in SQL, from the text and a catalogue: no server."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgmonkey_magic.completion import UNKNOWN, Catalogue, ParameterPlace, Relation, place_at, suggest


def relation(name: str, *columns: str, schema: str = "public", kind: str = "table") -> Relation:
    return Relation(
        schema, name, kind, tuple((column.partition(":")[0], column.partition(":")[2]) for column in columns)
    )


def catalogue() -> Catalogue:
    relations = [
        relation("orders", "order_id:integer", "customer_id:bigint", "total:numeric", "placed_at:date"),
        relation("customers", "customer_id:bigint", "email:text", "Weird Name:text", "order:text"),
        relation("products", "product_id:integer", "category:text", "price:numeric"),
        relation("Odd Table", "x:integer"),
        relation("recent", "order_id:integer", kind="view"),
        relation("totals", "total:numeric", kind="materialized view"),
        relation("parts", "part_id:integer", "customer_id:bigint", schema="stock"),
        relation("pg_class", "relname:name", "oid:oid", schema="pg_catalog", kind="table"),
    ]
    by_schema: dict[str, dict[str, Relation]] = {}
    for each in relations:
        by_schema.setdefault(each.schema, {})[each.name] = each
    return Catalogue(
        path=("pg_catalog", "public"),
        schemas=("pg_catalog", "public", "stock"),
        relations=by_schema,
        functions={
            "pg_catalog": {"count": "function", "left": "function", "lower": "function"},
            "public": {"discount": "function", "close_day": "procedure"},
            "stock": {"reorder": "function"},
        },
        types={"pg_catalog": ("integer", "text", "timestamptz"), "public": ("mood",), "stock": ("size",)},
        keywords=dict.fromkeys(("select", "from", "where", "order", "limit", "left", "join", "lateral"), "R")
        | {"left": "T", "abort": "U", "as": "R", "and": "R"},
        settings={
            "work_mem": (),
            "jit": ("on", "off"),
            "TimeZone": (),
            "my.app_user": (),
            "bytea_output": ("hex", "escape"),
        },
    )


def complete(marked: str, known: Catalogue | None = None) -> dict[str, str]:
    """Complete at the bar; return each text with its type, in order. The fragment must be what stands there."""
    at = marked.index("|")
    sql = marked[:at] + marked[at + 1 :]
    place = place_at(sql, at)
    if place is None or isinstance(place, ParameterPlace):
        return {}
    assert sql[:at].endswith(place.fragment)
    return {found.text: found.type for found in suggest(place, known or catalogue())}


def of_type(found: dict[str, str], *types: str) -> list[str]:
    return [text for text, its_type in found.items() if its_type in types]


ORDERS = ["order_id", "customer_id", "total", "placed_at"]
CUSTOMERS = ["customer_id", "email", '"Weird Name"', '"order"']


@pytest.mark.parametrize(
    ("marked", "columns"),
    [
        ("SELECT o.| FROM orders o", ORDERS),
        ("SELECT o.|\nFROM orders AS o JOIN customers c ON true", ORDERS),
        ("SELECT c.| FROM orders o JOIN customers AS c USING (customer_id)", CUSTOMERS),
        ("SELECT o.to| FROM orders o", ["total"]),
        ("SELECT O.TO| FROM orders o", ["total"]),
        ("SELECT orders.| FROM orders", ORDERS),
        ("SELECT public.orders.| FROM public.orders", ORDERS),
        ("SELECT customers.|", CUSTOMERS),
        ('SELECT "O".| FROM orders AS "O"', ORDERS),
        ('SELECT o.| FROM "Odd Table" o', ["x"]),
        ("SELECT p.| FROM stock.parts p", ["part_id", "customer_id"]),
        ("SELECT * FROM orders o WHERE o.|", ORDERS),
        ("SELECT * FROM orders o JOIN customers c ON o.| = c.customer_id", ORDERS),
        ("SELECT * FROM orders o JOIN customers c ON c.customer_id = o.|",
         ["customer_id", "order_id", "total", "placed_at"]),
        ("SELECT * FROM orders o, customers c WHERE c.|", CUSTOMERS),
        ("SELECT * FROM ONLY orders o WHERE o.|", ORDERS),
        ("SELECT * FROM (orders o JOIN customers c ON true) WHERE c.|", CUSTOMERS),
        ("UPDATE orders AS o SET total = o.|", ["total", "order_id", "customer_id", "placed_at"]),
        ("DELETE FROM orders o USING customers c WHERE c.|", CUSTOMERS),
        ("MERGE INTO orders o USING customers c ON c.|", CUSTOMERS),
        ("MERGE INTO orders o USING customers c ON true WHEN MATCHED THEN UPDATE SET |", ORDERS),
        ("SELECT * FROM orders o WHERE EXISTS (SELECT FROM customers c WHERE c.customer_id = o.|)",
         ["customer_id", "order_id", "total", "placed_at"]),
        ("SELECT s.| FROM (SELECT order_id, total * 2 AS twice, count(*), placed_at::text FROM orders) s",
         ["order_id", "twice", "count", "placed_at"]),
        ("SELECT s.| FROM (SELECT o.*, 1 AS one FROM orders o) AS s", [*ORDERS, "one"]),
        ("SELECT s.| FROM (SELECT * FROM orders UNION SELECT 1) s", ORDERS),
        ("SELECT s.| FROM (VALUES (1, 2)) AS s (a, b)", ["a", "b"]),
        ("SELECT s.| FROM (VALUES (1, 2)) s", ["column1", "column2"]),
        ("SELECT s.| FROM (SELECT total amount FROM orders) s", ["amount"]),
        ("SELECT g.| FROM generate_series(1, 3) AS g", ["g"]),
        ("SELECT g.| FROM unnest(:a) WITH ORDINALITY AS g (v, n)", []),
        ("SELECT g.| FROM json_to_record('{}') AS g (a int, b text)", ["a", "b"]),
        ("WITH w AS (SELECT order_id, total FROM orders) SELECT w.| FROM w", ["order_id", "total"]),
        ("WITH w AS (SELECT order_id AS id FROM orders) SELECT x.| FROM w AS x", ["id"]),
        ("WITH w (a, b) AS (SELECT 1, 2) SELECT w.| FROM w", ["a", "b"]),
        ("WITH w AS (SELECT 1 AS a), v AS MATERIALIZED (SELECT *, 2 AS b FROM w) SELECT v.| FROM v", ["a", "b"]),
        ("WITH gone AS (DELETE FROM orders RETURNING order_id) SELECT gone.| FROM gone", ["order_id"]),
        ("WITH RECURSIVE w AS (SELECT 1 AS n UNION SELECT n + 1 FROM w) SELECT w.| FROM w", ["n"]),
        ("WITH orders AS (SELECT 1 AS only_this) SELECT orders.| FROM orders", ["only_this"]),
        ("INSERT INTO orders (|", ORDERS),
        ("INSERT INTO orders (order_id, to|", ["total"]),
        ("INSERT INTO public.orders AS o (|) VALUES (1)", ORDERS),
        ("INSERT INTO orders VALUES (1) ON CONFLICT (|)", ORDERS),
        ("INSERT INTO orders VALUES (1) ON CONFLICT (order_id) DO UPDATE SET |", ORDERS),
        ("INSERT INTO orders VALUES (1) ON CONFLICT (order_id) DO UPDATE SET total = excluded.|",
         ["total", "order_id", "customer_id", "placed_at"]),
        ("UPDATE orders SET |", ORDERS),
        ("UPDATE orders SET total = 1, pl|", ["placed_at"]),
        ("UPDATE orders SET (|", ORDERS),
        ("SELECT * FROM orders JOIN customers USING (|", ["customer_id"]),
        ("SELECT * FROM orders o JOIN products p USING (|)", []),
        ("COPY orders (|) FROM STDIN", ORDERS),
        ("CREATE INDEX ON orders (|)", ORDERS),
        ("CREATE INDEX i ON orders USING btree (to|)", ["total"]),
        ("ALTER TABLE orders DROP COLUMN |", ORDERS),
        ("ALTER TABLE orders ADD CHECK (to|", ["total"]),
        ("ALTER TABLE products ADD FOREIGN KEY (category) REFERENCES customers (|", CUSTOMERS),
        ('SELECT c."W| FROM customers c', ['"Weird Name"']),
        ('SELECT c."W|" FROM customers c', ['"Weird Name']),
        ('SELECT c."|" FROM customers c WHERE "x"', ['"customer_id', '"email', '"Weird Name', '"order']),
        ("SELECT weird| FROM customers", ['"Weird Name"']),
        ("SELECT c.or| FROM customers c", ['"order"']),
        ("SELECT * FROM orders WHERE extract(year FROM pl|)", ["placed_at"]),
        ("SELECT * FROM orders WHERE total IS DISTINCT FROM tot|", ["total"]),
        ("SELECT coalesce(| FROM orders", ORDERS),
        ("SELECT total AS amount FROM orders ORDER BY am|", ["amount"]),
        ("SELECT 1; SELECT | FROM orders; SELECT * FROM customers", ORDERS),
        ("SELECT * FROM customers UNION SELECT | FROM orders", ORDERS),
        ("SELECT em| FROM orders UNION SELECT email FROM customers", []),
        ("SELECT * FROM customers JOIN (SELECT ema| FROM orders) s ON true", []),
        ("INSERT INTO customers SELECT ema| FROM orders", []),
        ("INSERT INTO customers SELECT 1 FROM orders RETURNING ema|", ["email"]),
        ("CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT | FROM orders; END", ORDERS),
        ("SELECT cat|", ["category"]),
    ],
)  # fmt: skip
def test_columns(marked: str, columns: list[str]) -> None:
    assert of_type(complete(marked), "column") == columns


@pytest.mark.parametrize("fragment", ["", "o", "or"])
@pytest.mark.parametrize(
    "before",
    ["SELECT * FROM ", "SELECT * FROM customers JOIN ", "SELECT * FROM customers c, ", "INSERT INTO ", "UPDATE ",
     "DELETE FROM ",
     "TRUNCATE ", "TABLE ", "DROP TABLE ", "DROP TABLE IF EXISTS ", "ALTER TABLE ", "LOCK TABLE ", "VACUUM ", "COPY ",
     "SELECT * FROM customers c LEFT JOIN LATERAL ", "CREATE INDEX i ON ", "CREATE TRIGGER t AFTER UPDATE ON ",
     "GRANT SELECT ON ",
     "COMMENT ON COLUMN ", "WITH w AS (SELECT * FROM ", "SELECT * FROM customers WHERE id IN (SELECT 1 FROM ",
     "DELETE FROM customers USING ", "SELECT 1 FROM customers c JOIN products p ON true, ", "SELECT * FROM ("],
)  # fmt: skip
def test_relations(before: str, fragment: str) -> None:
    found = complete(before + fragment + "|")
    assert "orders" in found
    assert found["orders"] == "table"
    assert "order_id" not in found


def test_relations_are_by_kind_and_by_schema() -> None:
    found = complete("SELECT * FROM |")
    expected = {"orders": "table", "recent": "view", "totals": "materialized view", '"Odd Table"': "table"}
    assert found.items() >= {**expected, "stock.parts": "table", "stock": "schema", "public": "schema"}.items()
    assert "pg_class" not in found
    assert complete("SELECT * FROM pg_|") == {"pg_class": "table", "pg_catalog": "schema"}
    assert complete("SELECT * FROM stock.|") == {"parts": "table"}
    assert complete("SELECT * FROM public.or| o") == {"orders": "table"}
    assert of_type(complete("DROP VIEW |"), "table", "view") == ["recent"]
    assert of_type(complete("REFRESH MATERIALIZED VIEW CONCURRENTLY |"), "view", "materialized view") == ["totals"]
    assert complete('SELECT * FROM "O|') == {'"orders"': "table", '"Odd Table"': "table"}
    found = complete("WITH wide AS (SELECT 1) SELECT * FROM w|")
    assert next(iter(found.items())) == ("wide", "CTE")
    assert "w" not in complete("WITH w AS (SELECT * FROM |")
    assert of_type(complete("CREATE TABLE |"), "table") == []


def test_columns_come_first_then_aliases_functions_keywords() -> None:
    found = complete("SELECT LE| FROM (SELECT 1 AS lead) AS legs")
    assert list(found.items()) == [("lead", "column"), ("legs", "alias"), ("left", "function"), ("LEFT", "keyword")]


def test_what_is_ambiguous_gets_its_qualifier() -> None:
    found = complete("SELECT cust| FROM orders o JOIN customers c ON true")
    assert list(found) == ["o.customer_id", "c.customer_id", "customers"][: len(found)]
    found = complete("SELECT cust| FROM orders o JOIN customers c USING (customer_id)")
    assert list(found) == ["customer_id"]
    found = complete("SELECT * FROM orders o WHERE EXISTS (SELECT FROM parts, stock.parts p WHERE cust|)")
    assert list(found) == ["customer_id", "o.customer_id"]


def test_what_fits_a_comparison_comes_first() -> None:
    found = complete("SELECT * FROM orders o JOIN customers c ON o.customer_id = |")
    assert next(iter(found)) == "c.customer_id"
    assert next(iter(complete("SELECT * FROM orders o JOIN products p ON p.price > o.|"))) == "total"


@pytest.mark.parametrize(
    ("marked", "expected"),
    [
        ("SEL|", {"SELECT"}),
        ("sel|", {"select"}),
        ("Sel|", {"SELECT"}),
        ("/* x */ ins|", {"insert"}),
        ("SELECT 1; ins|", {"insert"}),
        ("select * from orders wh|", {"where"}),
        ("select * from orders |", {"where", "join", "order"}),
        ("SELECT * FROM orders o |", {"WHERE", "JOIN", "ORDER"}),
        ("SELECT * FROM orders WHERE total = 1 A|", {"AND"}),
        ("EXPLAIN SEL|", {"SELECT"}),
        ("SELECT * FROM orders WHERE x IN (SEL|", {"SELECT"}),
        ("WITH w AS (SEL|", {"SELECT"}),
        ("CREATE VIEW v AS SEL|", {"SELECT"}),
        ("INSERT INTO orders (total) VAL|", set()),
    ],
)  # fmt: skip
def test_keywords_follow_the_typed_case(marked: str, expected: set[str]) -> None:
    found = complete(marked)
    assert expected <= set(of_type(found, "keyword"))
    assert of_type(found, "column", "table") == []


@pytest.mark.parametrize(
    "marked",
    [
        "SELECT 'ord|", "SELECT 'ord|' FROM orders", "SELECT E'\\'ord|", "SELECT $$ord|$$",
        "SELECT $tag$ SELECT | $tag$",
        "-- SELECT |", "SELECT /* | */ 1", "SELECT /* /* */ | */ 1", "SELECT 1|", "SELECT $1|", "SELECT 'x'|",
        "SELECT count(*)|",
        "DO $$BEGIN SELECT | END$$", "SELECT total AS |", "SELECT * FROM orders AS |", 'SELECT U&"|', "SELECT .|",
        "CREATE TABLE t (|",
    ],
)  # fmt: skip
def test_nothing_is_completed_in_strings_comments_and_new_names(marked: str) -> None:
    assert complete(marked) == {}


@pytest.mark.parametrize(
    ("marked", "expected"),
    [
        ("SELECT 1::|", {"integer", "text", "mood", "stock.size"}),
        ("SELECT CAST(total AS te|", {"text"}),
        ("CREATE TABLE t (a |", {"integer", "mood"}),
        ("CREATE TABLE t (a int, b |)", {"integer", "mood"}),
        ("ALTER TABLE orders ADD COLUMN a |", {"integer", "mood"}),
        ("ALTER TABLE orders ALTER COLUMN total TYPE |", {"integer", "mood"}),
        ("CREATE FUNCTION f() RETURNS |", {"integer", "mood"}),
        ("SELECT 1::stock.|", {"size"}),
    ],
)
def test_types(marked: str, expected: set[str]) -> None:
    assert expected <= set(of_type(complete(marked), "type"))
    assert of_type(complete(marked), "column") == []


def test_settings_and_their_values() -> None:
    assert complete("SET wo|") == {"work_mem": "setting"}
    assert "jit" in complete("SET LOCAL |")
    assert complete("SHOW tim|") == {"TimeZone": "setting"}
    assert complete("RESET my.|") == {"app_user": "setting"}
    assert "jit" in complete("ALTER ROLE me SET |")
    assert list(complete("SET jit = |")) == ["on", "off", "default"]
    assert list(complete("SET LOCAL bytea_output TO h|")) == ["hex"]
    assert of_type(complete("SET search_path TO |"), "schema") == ["public", "stock", "pg_catalog"]
    assert of_type(complete("SET search_path = public, st|"), "schema") == ["stock"]


def test_functions_and_procedures() -> None:
    assert complete("CALL |").items() >= {"close_day": "procedure"}.items()
    assert "discount" not in complete("CALL |")
    assert of_type(complete("SELECT dis| FROM orders"), "function") == ["discount"]
    assert of_type(complete("SELECT stock.|"), "function", "table") == ["parts", "reorder"]
    assert of_type(complete("SELECT stock.r| FROM orders"), "function") == ["reorder"]
    assert "count" not in complete("SELECT | FROM orders"), "the hundreds of built-in ones want a letter"
    assert "count" in complete("SELECT co| FROM orders")
    assert complete('SELECT "di| FROM orders') == {'"discount"': "function"}
    assert complete('SELECT "co| FROM orders') == {}


@pytest.mark.parametrize(
    ("marked", "fragment", "closing"),
    [
        ("SELECT :|", "", ""),
        ("SELECT * FROM t WHERE id = :na|", "na", ""),
        ("SELECT * FROM t WHERE id = ANY(:na| )", "na", ""),
        ("SELECT :'na|", "na", "'"),
        ("SELECT :'na|'", "na", ""),
        ('SELECT * FROM :"na|', "na", '"'),
        ('SELECT * FROM :"|"', "", ""),
        ("SELECT x[:lo|", "lo", ""),
    ],
)
def test_parameters(marked: str, fragment: str, closing: str) -> None:
    at = marked.index("|")
    assert place_at(marked.replace("|", ""), at) == ParameterPlace(fragment, closing)


@pytest.mark.parametrize("marked", ["SELECT x::te|", "SELECT ':na|", "SELECT x[lo:na|", "-- :na|", "x := y|"])
def test_colons_that_begin_no_parameter(marked: str) -> None:
    at = marked.index("|")
    assert not isinstance(place_at(marked.replace("|", ""), at), ParameterPlace)


def test_without_a_server_there_are_core_keywords_and_what_the_text_says() -> None:
    assert complete("SEL|", UNKNOWN) == {"SELECT": "keyword"}
    assert complete("SELECT * FROM x wh|", UNKNOWN).keys() == {"where", "when"}
    assert of_type(complete("WITH w AS (SELECT 1 AS a) SELECT w.| FROM w", UNKNOWN), "column") == ["a"]
    assert of_type(complete("SELECT * FROM |", UNKNOWN), "table", "schema") == []


def test_a_star_of_a_star_of_a_star_ends() -> None:
    ctes = ", ".join(f"c{n} AS (SELECT * FROM c{n - 1} a, c{n - 1} b)" for n in range(1, 40))
    sql = f"WITH c0 AS (SELECT 1 AS x), {ctes} SELECT c39.| FROM c39"
    assert of_type(complete(sql), "column") == ["x"]


def test_of_thousands_there_are_at_most_five_hundred() -> None:
    tables = {f"t{n}": relation(f"t{n}", *(f"c{n}_{i}" for i in range(10))) for n in range(5000)}
    known = Catalogue(path=("public",), schemas=("public",), relations={"public": tables})
    for marked in ("SELECT * FROM |", "SELECT * FROM t|", "SELECT c|", "DROP TABLE |"):
        assert len(complete(marked, known)) == 500
    assert list(complete("SELECT * FROM t4999|", known)) == ["t4999"]
    assert len(complete("SELECT x.| FROM t4999 x", known)) == 10


PIECES = [
    "SELECT ", "FROM ", "JOIN ", "WHERE ", "WITH ", "w ", "AS ", "(", ")", "[", "]", ",", ".", ";", "orders ", "o",
    '"', "'", "$$", "--",
    "/*", "*/", "*", ":", "::", "=", "USING ", "ON ", "INSERT INTO ", "VALUES ", "UPDATE ", "SET ", "UNION ",
    "LATERAL ", "CREATE TABLE ",
    "CREATE INDEX ", "ALTER ", "DROP ", "IF EXISTS ", "COLUMN ", "TO ", "BY ", "\n", "1", "é", "\0", "RECURSIVE ",
    "ONLY ", "CONFLICT ",
    "extract", "MERGE ", "DELETE ", "RETURNING ", "distinct ", "GRANT ", "search_path ", "ADD ", "U&", "E'", "\\",
    "CAST", "GROUP ",
]  # fmt: skip
TEXTS = st.one_of(st.text(max_size=60), st.lists(st.sampled_from(PIECES), max_size=25).map("".join))


@settings(max_examples=400, deadline=None)
@given(TEXTS, st.data())
def test_no_text_and_no_cursor_is_an_error(sql: str, data: st.DataObject) -> None:
    cursor = data.draw(st.integers(0, len(sql)))
    place = place_at(sql, cursor)
    if place is None:
        return
    assert sql[:cursor].endswith(place.fragment)
    if not isinstance(place, ParameterPlace):
        for known in (catalogue(), UNKNOWN):
            found = suggest(place, known)
            assert len({suggestion.text for suggestion in found}) == len(found) <= 500
            assert all(suggestion.text and suggestion.type for suggestion in found)


def test_deep_nesting_is_no_error() -> None:
    for sql in ("SELECT * FROM (" * 3000, "(" * 5000, "SELECT * FROM (SELECT * FROM (" * 500 + "))" * 500):
        place_at(sql, len(sql))
        place_at(sql, 20)
