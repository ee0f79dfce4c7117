%%pgmonkey --autocommit
CREATE TABLE big (id int PRIMARY KEY, t text); INSERT INTO big SELECT i, 'x;' || i FROM generate_series(1, 100) i; ALTER TABLE big SET (autovacuum_enabled = off)
%%pgmonkey --autocommit
VACUUM big
%%pgmonkey --autocommit
VACUUM (ANALYZE, FREEZE, INDEX_CLEANUP ON) big (t); VACUUM FULL big
%%pgmonkey --autocommit
CREATE INDEX CONCURRENTLY "big;t" ON big (t); REINDEX INDEX CONCURRENTLY "big;t"; DROP INDEX CONCURRENTLY "big;t"
%%pgmonkey --autocommit
CREATE DATABASE "corpus;odd:db" TEMPLATE template0; DROP DATABASE "corpus;odd:db" WITH (FORCE)
%%pgmonkey --autocommit
ALTER SYSTEM SET log_min_duration_statement = '1h'; ALTER SYSTEM RESET ALL
%%pgmonkey --autocommit
CREATE PROCEDURE chunks() LANGUAGE plpgsql AS $$ BEGIN UPDATE big SET t = ';' WHERE id < 10; COMMIT; UPDATE big SET t = ':' WHERE id < 5; ROLLBACK; END $$; CALL chunks(); SELECT t, count(*) FROM big WHERE id < 10 GROUP BY t
%%pgmonkey --autocommit
SET standard_conforming_strings = off; SET escape_string_warning = off; SELECT 'a\\b', 'tab\tx', 'a\142c'
%%pgmonkey --autocommit
SET standard_conforming_strings = off; SHOW standard_conforming_strings; SET standard_conforming_strings = on; SELECT '\'
%%pgmonkey --autocommit
CLUSTER big USING big_pkey; CLUSTER; DISCARD ALL
%%pgmonkey --autocommit
SELECT 1; SELECT 1/0; SELECT 2
%%pgmonkey --autocommit
CREATE RULE two AS ON UPDATE TO big DO ALSO (SELECT 1; SELECT ';'); CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END; SELECT f(); DROP FUNCTION f; DROP RULE two ON big
%%pgmonkey --autocommit
DO $$ BEGIN PERFORM 1; COMMIT; END $$; ANALYZE big; TRUNCATE big; DROP TABLE big
