%%pgmonkey
SHOW server_version_num
%%pgmonkey
SHOW search_path; SHOW TIME ZONE; SHOW TRANSACTION ISOLATION LEVEL; SHOW "work_mem"
%%pgmonkey
SET search_path TO public, "odd;schema", '$user'; SHOW search_path
%%pgmonkey
SET LOCAL TIME ZONE 'Asia/Tokyo'; SELECT timestamptz '2024-01-01 00:00+00'; SET TIME ZONE INTERVAL '-08:00' HOUR TO MINUTE; SELECT timestamptz '2024-01-01 00:00+00'; RESET TIME ZONE
%%pgmonkey
SET myapp.setting = 'a:b;''c'; SELECT current_setting('myapp.setting'), set_config('myapp.other', '$$', false); RESET myapp.setting; SHOW myapp.other
%%pgmonkey
SET DateStyle TO 'ISO, DMY'; SELECT '03/02/2024'::date; SET bytea_output = 'escape'; SELECT '\x0061'::bytea; SET extra_float_digits = 0; SELECT 0.1::float8; SET IntervalStyle = 'iso_8601'; SELECT interval '1 day 2 hours'
%%pgmonkey
RESET ALL; DISCARD PLANS; DISCARD SEQUENCES; DISCARD TEMP
%%pgmonkey
SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY; SHOW default_transaction_read_only
%%pgmonkey
SET ROLE NONE; SET SESSION AUTHORIZATION DEFAULT; SELECT current_user = session_user
%%pgmonkey
PREPARE p (int, text) AS SELECT $1 + 1, $2 || ':x'; EXECUTE p (1, 'a'); EXECUTE p (2, 'it''s'); DEALLOCATE p
%%pgmonkey
PREPARE "odd;name" AS SELECT ';'; EXECUTE "odd;name"; DEALLOCATE PREPARE "odd;name"; PREPARE i AS INSERT INTO nothing VALUES ($1)
%%pgmonkey
PREPARE q (int) AS SELECT generate_series(1, $1); EXPLAIN (COSTS OFF) EXECUTE q (3); CREATE TEMP TABLE made AS EXECUTE q (2); TABLE made; DEALLOCATE ALL
%%pgmonkey
DECLARE c SCROLL CURSOR FOR SELECT generate_series(1, 10); FETCH 2 FROM c; FETCH FORWARD 2 FROM c; MOVE ABSOLUTE 8 IN c; FETCH NEXT c; FETCH PRIOR FROM c; FETCH BACKWARD ALL FROM c; FETCH LAST c; CLOSE c
%%pgmonkey
DECLARE "odd;cursor" NO SCROLL CURSOR WITH HOLD FOR SELECT ';' AS x; FETCH ALL "odd;cursor"; CLOSE ALL
%%pgmonkey
DECLARE b BINARY CURSOR FOR SELECT 1::int4; CLOSE b
%%pgmonkey
CREATE TEMP TABLE rows AS SELECT 1 AS n; DECLARE u CURSOR FOR SELECT * FROM rows FOR UPDATE; FETCH u; UPDATE rows SET n = 2 WHERE CURRENT OF u; CLOSE u; TABLE rows
%%pgmonkey
LISTEN "chan;nel"; NOTIFY "chan;nel", 'payload: it''s'; UNLISTEN "chan;nel"; UNLISTEN *
%%pgmonkey
SELECT pg_notify('x', 'y;z'); NOTIFY other
%%pgmonkey
CREATE TEMP TABLE locked (a int); LOCK TABLE locked IN ACCESS EXCLUSIVE MODE NOWAIT; SELECT pg_advisory_xact_lock(1), pg_try_advisory_xact_lock(2, 3)
%%pgmonkey
SAVEPOINT a; SELECT 1; RELEASE SAVEPOINT a; SAVEPOINT "b;c"; SELECT 2; ROLLBACK TO SAVEPOINT "b;c"; ROLLBACK TO "b;c"; RELEASE "b;c"
%%pgmonkey
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SHOW transaction_isolation
%%pgmonkey
SET CONSTRAINTS ALL DEFERRED; SET CONSTRAINTS ALL IMMEDIATE
%%pgmonkey
LOAD 'plpgsql'
%%pgmonkey
CHECKPOINT
%%pgmonkey
ANALYZE; ANALYZE pg_class (relname); ANALYZE pg_am, pg_class
%%pgmonkey
SELECT set_config('search_path', 'pg_catalog', true), current_schemas(false)
%%pgmonkey
SELECT pg_sleep(0), pg_backend_pid() > 0, txid_current() > 0, now() = transaction_timestamp(), inet_client_addr() IS NULL
%%pgmonkey
SELECT lo_from_bytea(424242, '\x01'); SELECT lo_get(424242); COMMENT ON LARGE OBJECT 424242 IS 'l;o'; SELECT lo_unlink(424242)
