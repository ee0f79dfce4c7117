%%pgmonkey
CREATE FUNCTION add(a int, b int DEFAULT 1) RETURNS int LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS 'SELECT a + b;'; SELECT add(1), add(1, 2), add(b => 3, a => 4), add(a := 5)
%%pgmonkey
CREATE FUNCTION dollar(text) RETURNS text LANGUAGE sql AS $f$ SELECT $1 || ';' || $$it's$$; $f$; SELECT dollar('x')
%%pgmonkey
CREATE OR REPLACE FUNCTION atomic(n int) RETURNS text LANGUAGE sql
BEGIN ATOMIC
  SELECT 'first; statement';
  SELECT CASE WHEN n > 0 THEN CASE n WHEN 1 THEN 'one;' ELSE 'more' END ELSE 'none' END; -- END;
END;
SELECT atomic(1), atomic(2), atomic(-1)
%%pgmonkey
CREATE FUNCTION returned(a int, b int) RETURNS int RETURN a * b; SELECT returned(6, 7)
%%pgmonkey
CREATE TABLE kept (n int); CREATE PROCEDURE keep(n int) LANGUAGE sql BEGIN ATOMIC INSERT INTO kept VALUES (n); INSERT INTO kept SELECT CASE WHEN n = 1 THEN 10 ELSE 20 END; END; CALL keep(1); CALL keep(n => 2); TABLE kept
%%pgmonkey
CREATE OR REPLACE PROCEDURE keep(n int) BEGIN ATOMIC END; CALL keep(3); SELECT count(*) FROM kept
%%pgmonkey
CREATE PROCEDURE outs(INOUT a int, OUT b text) LANGUAGE plpgsql AS $$ BEGIN a := a + 1; b := 'it''s :x;'; END $$; CALL outs(1, NULL)
%%pgmonkey
DO $$ BEGIN RAISE NOTICE 'hello; % %%', 'wor:ld'; END $$
%%pgmonkey
DO LANGUAGE plpgsql $body$
DECLARE
  n int := 0;
  "odd name" text;
  row record;
BEGIN
  FOR i IN 1..3 LOOP n := n + i; END LOOP;
  FOR row IN SELECT 1 AS a LOOP RAISE NOTICE 'a=%', row.a; END LOOP;
  "odd name" := $q$;$q$ || E'\'';
  EXECUTE 'SELECT $1' INTO n USING n * 2;
  IF n[1:2] IS NULL THEN NULL; END IF;
EXCEPTION WHEN others THEN
  RAISE WARNING 'caught %: %', SQLSTATE, SQLERRM;
END
$body$
%%pgmonkey
DO 'BEGIN RAISE INFO ''quoted; %'', 1; END'; DO E'BEGIN\nRAISE INFO \'escaped;\';\nEND'
%%pgmonkey
DO $$ BEGIN RAISE EXCEPTION 'odd %', 'thing' USING ERRCODE = 'P0999', HINT = 'a hint', DETAIL = 'a detail'; END $$
%%pgmonkey
CREATE FUNCTION fac(n int) RETURNS bigint LANGUAGE plpgsql AS $$
<<outer>>
DECLARE r bigint := 1;
BEGIN
  WHILE n > 1 LOOP r := r * n; n := n - 1; EXIT outer WHEN n > 100; CONTINUE WHEN n % 2 = 0; END LOOP;
  CASE WHEN r > 1 THEN NULL; ELSE r := 1; END CASE;
  RETURN r;
END;
$$; SELECT fac(5)
%%pgmonkey
CREATE FUNCTION setof_it() RETURNS TABLE (a int, "b;c" text) LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY VALUES (1, 'x'), (2, 'y'); RETURN QUERY EXECUTE $q$SELECT 3, ';'$q$; a := 4; RETURN NEXT; END $$; SELECT * FROM setof_it(); SELECT setof_it()
%%pgmonkey
CREATE FUNCTION vari(VARIADIC xs int[]) RETURNS int LANGUAGE sql RETURN cardinality(xs); SELECT vari(1, 2, 3), vari(VARIADIC ARRAY[1]), vari(VARIADIC xs => '{}')
%%pgmonkey
CREATE TABLE audited (n int); CREATE FUNCTION trig() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE '% % %', TG_OP, TG_NAME, NEW.n; NEW.n := NEW.n + 100; RETURN NEW; END $$; CREATE TRIGGER "tr;ig" BEFORE INSERT OR UPDATE OF n ON audited FOR EACH ROW WHEN (NEW.n > 0) EXECUTE FUNCTION trig('arg;', 1); INSERT INTO audited VALUES (1), (-1) RETURNING n
%%pgmonkey
CREATE TRIGGER st AFTER UPDATE ON audited REFERENCING OLD TABLE AS o NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION trig(); ALTER TABLE audited DISABLE TRIGGER ALL; UPDATE audited SET n = 0; DROP TRIGGER "tr;ig" ON audited
%%pgmonkey
CREATE FUNCTION evt() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'event %', tg_tag; END $$; CREATE EVENT TRIGGER et ON ddl_command_start WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION evt(); CREATE TABLE seen (); DROP EVENT TRIGGER et
%%pgmonkey
CREATE FUNCTION poly(anyelement) RETURNS anyarray LANGUAGE sql AS 'SELECT ARRAY[$1, $1]'; SELECT poly(1), poly('x'::text); ALTER FUNCTION poly COST 5; ALTER FUNCTION poly(anyelement) RENAME TO "poly;"; DROP FUNCTION "poly;"
%%pgmonkey
CREATE FUNCTION body_with_begin() RETURNS text LANGUAGE plpgsql AS 'begin return ''begin; end;''; end'; SELECT body_with_begin()
%%pgmonkey
CREATE FUNCTION begin_named("begin" int, "end" int) RETURNS int LANGUAGE sql RETURN "begin" + "end"; SELECT begin_named(1, 2)
%%pgmonkey
CREATE FUNCTION two_bodies() RETURNS int BEGIN ATOMIC SELECT 1; END; CREATE FUNCTION three_bodies() RETURNS int BEGIN ATOMIC WITH a AS (SELECT 1 AS "end") SELECT "end" FROM a; END; SELECT two_bodies(), three_bodies()
%%pgmonkey
CREATE FUNCTION opts() RETURNS text LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, "odd;path" SET work_mem TO '8MB' AS $$ SELECT current_setting('search_path') $$; SELECT opts(); DROP FUNCTION opts
%%pgmonkey
CREATE FUNCTION cur() RETURNS refcursor LANGUAGE plpgsql AS $$ DECLARE c CURSOR (k int) FOR SELECT k, ';'; r refcursor := 'my;cursor'; BEGIN OPEN r FOR SELECT generate_series(1, 3); RETURN r; END $$; SELECT cur(); FETCH ALL FROM "my;cursor"
%%pgmonkey
DROP PROCEDURE keep(int); DROP ROUTINE outs; DROP FUNCTION IF EXISTS nothing(int), add(int, int)
%%pgmonkey
CREATE FUNCTION wrong() RETURNS int LANGUAGE sql AS 'SELECT ''x'''
%%pgmonkey
SELECT add('a', 'b', 'c')
