%%pgmonkey
CREATE TABLE item (id int PRIMARY KEY, name text NOT NULL, price numeric(8,2), tags text[], made date, parent int REFERENCES item);
INSERT INTO item VALUES (1, 'bolt', 0.10, '{steel,small}', '2024-01-05', NULL), (2, 'nut', 0.05, '{steel}', '2024-02-01', 1), (3, 'it''s', 5.00, NULL, NULL, 1), (4, 'Ö;l', 12.5, '{"a,b"}', '2024-02-01', 3);
CREATE TABLE sale (item int REFERENCES item, qty int, at timestamp);
INSERT INTO sale SELECT 1 + i % 4, i, timestamp '2024-01-01' + i * interval '7 hours' FROM generate_series(1, 20) AS i;
%%pgmonkey
TABLE item
%%pgmonkey
TABLE ONLY item LIMIT 2
%%pgmonkey
VALUES (1, 'a'), (2, 'b') ORDER BY 1 DESC
%%pgmonkey
(VALUES (1)) UNION ALL (SELECT 2) ORDER BY 1
%%pgmonkey
(SELECT 1)
%%pgmonkey
((SELECT 1) UNION (SELECT 2)) EXCEPT SELECT 2
%%pgmonkey
SELECT 1 UNION SELECT 2 UNION ALL SELECT 2 INTERSECT SELECT 2 EXCEPT ALL SELECT 5 ORDER BY 1
%%pgmonkey
SELECT FROM item
%%pgmonkey
SELECT *, i.*, i FROM item i ORDER BY id
%%pgmonkey
SELECT ALL id FROM item ORDER BY name COLLATE "C" USING >, id ASC NULLS FIRST FETCH FIRST 2 ROWS WITH TIES
%%pgmonkey
SELECT DISTINCT made FROM item ORDER BY made NULLS LAST
%%pgmonkey
SELECT DISTINCT ON (made) made, id FROM item ORDER BY made, id DESC
%%pgmonkey
SELECT id FROM item WHERE name LIKE '%;%' OR tags @> '{steel}' OR tags && ARRAY['x'] ORDER BY id OFFSET 1 ROWS FETCH NEXT 1 ROW ONLY
%%pgmonkey
SELECT i.name, p.name AS parent FROM item i LEFT JOIN item p ON p.id = i.parent ORDER BY i.id
%%pgmonkey
SELECT * FROM item JOIN sale ON item.id = sale.item WHERE qty > 18 ORDER BY qty
%%pgmonkey
SELECT * FROM (SELECT 1 AS a) x NATURAL JOIN (SELECT 1 AS a, 2 AS b) y CROSS JOIN (VALUES (3)) AS z(c)
%%pgmonkey
SELECT * FROM (VALUES (1),(2)) a(x) FULL JOIN (VALUES (2),(3)) b(x) USING (x) ORDER BY x
%%pgmonkey
SELECT j.x FROM (VALUES (1)) a(x) JOIN (VALUES (1)) b(x) USING (x) AS j RIGHT OUTER JOIN (SELECT 2) c(y) ON true
%%pgmonkey
SELECT i.id, s.n FROM item i, LATERAL (SELECT count(*) AS n FROM sale WHERE item = i.id) s ORDER BY i.id
%%pgmonkey
SELECT i.id, t.tag, t.ord FROM item i CROSS JOIN LATERAL unnest(i.tags) WITH ORDINALITY AS t(tag, ord) ORDER BY 1, 3
%%pgmonkey
SELECT * FROM ROWS FROM (generate_series(1, 3), unnest(ARRAY['a','b'])) WITH ORDINALITY AS t(n, s, o)
%%pgmonkey
SELECT * FROM json_to_recordset('[{"a":1,"b":"x"}]') AS t(a int, b text)
%%pgmonkey
SELECT * FROM generate_series(timestamp '2024-01-01', '2024-01-02', '12 hours') AS g(moment)
%%pgmonkey
SELECT * FROM item TABLESAMPLE BERNOULLI (100) REPEATABLE (7) ORDER BY id
%%pgmonkey
SELECT count(*), count(DISTINCT made), sum(price), avg(price)::numeric(6,3), min(name COLLATE "C"), string_agg(name, ';' ORDER BY id) FROM item
%%pgmonkey
SELECT made, count(*) FROM item GROUP BY made HAVING count(*) >= 1 ORDER BY made NULLS FIRST
%%pgmonkey
SELECT made, parent, count(*), grouping(made, parent) FROM item GROUP BY GROUPING SETS ((made, parent), (made), ()) ORDER BY 4, 1, 2
%%pgmonkey
SELECT parent, made, sum(price) FROM item GROUP BY ROLLUP (parent, made) ORDER BY 1, 2, 3
%%pgmonkey
SELECT parent, made, count(*) FROM item GROUP BY CUBE (parent, made) ORDER BY 1, 2, 3
%%pgmonkey
SELECT parent, count(*) FROM item GROUP BY DISTINCT ROLLUP (parent), () ORDER BY 1
%%pgmonkey
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY price), mode() WITHIN GROUP (ORDER BY made), rank(1) WITHIN GROUP (ORDER BY id) FROM item
%%pgmonkey
SELECT count(*) FILTER (WHERE price > 1), bool_and(price > 0), every(id > 0), array_agg(id ORDER BY id DESC), json_agg(name ORDER BY id), jsonb_object_agg(id, name) FROM item
%%pgmonkey
SELECT id, price, row_number() OVER (ORDER BY price), sum(price) OVER w, lag(name, 1, '-') OVER w FROM item WINDOW w AS (ORDER BY id) ORDER BY id
%%pgmonkey
SELECT qty, sum(qty) OVER (ORDER BY qty ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING EXCLUDE CURRENT ROW), avg(qty) OVER (PARTITION BY item ORDER BY qty GROUPS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW EXCLUDE TIES) FROM sale ORDER BY qty
%%pgmonkey
SELECT at, count(*) OVER (ORDER BY at RANGE BETWEEN '1 day' PRECEDING AND '12 hours' FOLLOWING), first_value(qty) OVER (w ROWS 2 PRECEDING), nth_value(qty, 2) OVER (w RANGE UNBOUNDED PRECEDING) FROM sale WINDOW w AS (ORDER BY at) ORDER BY at
%%pgmonkey
SELECT ntile(3) OVER (ORDER BY id), percent_rank() OVER (ORDER BY id), cume_dist() OVER (ORDER BY id), dense_rank() OVER (ORDER BY made) FROM item ORDER BY id
%%pgmonkey
WITH a AS (SELECT 1 AS x), b(y) AS MATERIALIZED (SELECT x + 1 FROM a), c AS NOT MATERIALIZED (TABLE b) SELECT * FROM a, b, c
%%pgmonkey
WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t WHERE n < 5) SELECT sum(n) FROM t
%%pgmonkey
WITH RECURSIVE tree AS (SELECT id, parent FROM item WHERE parent IS NULL UNION ALL SELECT i.id, i.parent FROM item i JOIN tree t ON i.parent = t.id) SEARCH DEPTH FIRST BY id SET path SELECT id, path FROM tree ORDER BY path
%%pgmonkey
WITH RECURSIVE tree AS (SELECT id, parent FROM item WHERE parent IS NULL UNION ALL SELECT i.id, i.parent FROM item i JOIN tree t ON i.parent = t.id) SEARCH BREADTH FIRST BY id SET ord SELECT id FROM tree ORDER BY ord
%%pgmonkey
WITH RECURSIVE g(a, b) AS (VALUES (1,2),(2,3),(3,1)), walk AS (SELECT a, b FROM g WHERE a = 1 UNION ALL SELECT g.a, g.b FROM g JOIN walk w ON g.a = w.b) CYCLE a SET is_cycle TO 'Y' DEFAULT 'N' USING path SELECT * FROM walk
%%pgmonkey
WITH moved AS (DELETE FROM sale WHERE qty = 20 RETURNING *), back AS (INSERT INTO sale SELECT item, qty, at FROM moved RETURNING qty) SELECT * FROM back
%%pgmonkey
SELECT (SELECT count(*) FROM sale s WHERE s.item = i.id), EXISTS (SELECT 1 FROM sale WHERE item = i.id), id IN (SELECT item FROM sale), ARRAY(SELECT qty FROM sale WHERE item = i.id ORDER BY 1) FROM item i ORDER BY id
%%pgmonkey
SELECT id FROM item WHERE (id, name) IN ((1, 'bolt'), (2, 'x')) OR price > ALL (SELECT price FROM item WHERE id < 3) OR (id, 1) = (SELECT 2, 1) ORDER BY id
%%pgmonkey
SELECT name, price FROM item ORDER BY CASE WHEN price > 1 THEN 0 ELSE 1 END, 1 LIMIT (SELECT 2) OFFSET 1+0
%%pgmonkey
SELECT id FROM item ORDER BY id LIMIT ALL FOR UPDATE OF item SKIP LOCKED
%%pgmonkey
SELECT id FROM item ORDER BY id LIMIT 1 FOR NO KEY UPDATE NOWAIT
%%pgmonkey
SELECT id INTO TEMP chosen FROM item WHERE price > 1; SELECT count(*) FROM chosen
%%pgmonkey
EXPLAIN (COSTS OFF) SELECT * FROM item WHERE id = 1
%%pgmonkey
EXPLAIN (FORMAT JSON, COSTS OFF) SELECT 1
%%pgmonkey
EXPLAIN (VERBOSE, COSTS OFF, FORMAT YAML) SELECT name FROM item ORDER BY price
%%pgmonkey
EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) UPDATE item SET price = price
%%pgmonkey
EXPLAIN (GENERIC_PLAN, COSTS OFF) SELECT * FROM item WHERE id = $1
%%pgmonkey
SELECT t.* FROM item AS t(a, b) ORDER BY a LIMIT 1
%%pgmonkey
SELECT (i).name, (i).* FROM item i WHERE (i).id = 1
%%pgmonkey
SELECT (ROW(1,2,'2024-01-01'::timestamp)::sale).qty, (ROW(1,2,NULL)::sale).*
%%pgmonkey
SELECT a.x, b.* FROM (SELECT 1 AS x) a LEFT JOIN (SELECT 2 AS x, 3 AS y) b ON a.x = b.x
%%pgmonkey
SELECT generate_series(1, 3), generate_series(1, 2), unnest(ARRAY['a'])
%%pgmonkey
SELECT row_to_json(i), i IS NULL, i::text FROM item i WHERE id = 3
%%pgmonkey
SELECT 1 WHERE false
%%pgmonkey
SELECT i.id, s.* FROM item i LEFT JOIN LATERAL (SELECT max(qty) AS top, min(qty) FROM sale WHERE item = i.id) s ON i.id < 3 ORDER BY 1
%%pgmonkey
SELECT tableoid::regclass, ctid IS NOT NULL, xmin IS NOT NULL FROM item WHERE id = 1
%%pgmonkey
SELECT pg_catalog.format('%1$s:%2$s', 'a', 'b'), pg_catalog.int4pl(1, 2), public.item.name FROM public.item WHERE item.id = 1
%%pgmonkey
SELECT relname FROM pg_catalog.pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'i') ORDER BY relname COLLATE "C"
%%pgmonkey
SELECT i FROM generate_series(1, 5000) AS g(i)
