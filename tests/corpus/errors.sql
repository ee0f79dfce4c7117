%%pgmonkey
SELEC 1
%%pgmonkey
SELECT * FROM nothing_here
%%pgmonkey
SELECT 1/0
%%pgmonkey
SELECT 'x'::int
%%pgmonkey
SELECT nope(1)
%%pgmonkey
SELECT 1 +
%%pgmonkey
SELECT 'open
%%pgmonkey
SELECT "open
%%pgmonkey
SELECT $$open
%%pgmonkey
SELECT 1 /* open
%%pgmonkey
SELECT (1
%%pgmonkey
SELECT 1)
%%pgmonkey
SELECT ]
%%pgmonkey
SELECT ""
%%pgmonkey
SELECT U&'\zz'
%%pgmonkey
SELECT '\xzz'::bytea
%%pgmonkey
SELECT E'\xff'
%%pgmonkey
SELECT 1 AS a FROM (SELECT) WHERE GROUP
%%pgmonkey
SELECT 99999999999::int
%%pgmonkey
SELECT '2024-13-01'::date
%%pgmonkey
SELECT ARRAY[1,2][
%%pgmonkey
SELECT 1; SELECT 2; SELEC 3; SELECT 4
%%pgmonkey
SELECT 1; SELECT 1/0; SELECT 3
%%pgmonkey
CREATE TABLE rolled_back (a int); INSERT INTO rolled_back VALUES ('x')
%%pgmonkey
SELECT * FROM rolled_back
%%pgmonkey
SAVEPOINT a; SELECT 1/0
%%pgmonkey
VACUUM
%%pgmonkey
FETCH ALL FROM no_cursor
%%pgmonkey
EXECUTE no_plan (1)
%%pgmonkey
CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1;
%%pgmonkey
CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ SELECT 'x;'
%%pgmonkey
SELECT a, b FROM (VALUES (1)) t(a) ORDER BY c
%%pgmonkey
SELECT count(*) OVER w FROM pg_class
%%pgmonkey
EXPLAIN SELECT nothing
%%pgmonkey
SET no_such_setting = 1
%%pgmonkey
DROP TABLE nothing_here
%%pgmonkey
GRANT SELECT ON nothing_here TO PUBLIC
%%pgmonkey
CALL nothing()
%%pgmonkey
DELETE
%%pgmonkey
@
%%pgmonkey
1
