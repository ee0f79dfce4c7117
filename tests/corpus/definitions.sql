%%pgmonkey
CREATE SCHEMA "Odd ""Schema"" ;:" CREATE TABLE "t:1" ("c;1" int, "C$2" text DEFAULT ';') CREATE VIEW v AS SELECT 1 AS one
%%pgmonkey
SELECT * FROM "Odd ""Schema"" ;:"."t:1"; SELECT "c;1", "C$2" FROM "Odd ""Schema"" ;:"."t:1"; DROP SCHEMA "Odd ""Schema"" ;:" CASCADE
%%pgmonkey
CREATE TABLE t1 (a int CHECK (a > 0) NOT NULL, b text COLLATE "C" DEFAULT 'x;y', c numeric(10,2) CONSTRAINT positive CHECK (c >= 0), PRIMARY KEY (a), UNIQUE NULLS NOT DISTINCT (b, c), EXCLUDE USING btree (c WITH =))
%%pgmonkey
CREATE TABLE IF NOT EXISTS t1 (a int)
%%pgmonkey
CREATE TEMP TABLE tmp1 ON COMMIT DROP AS SELECT 1 AS a WITH NO DATA
%%pgmonkey
CREATE UNLOGGED TABLE t2 (LIKE t1 INCLUDING ALL, d int GENERATED ALWAYS AS IDENTITY (START 5 INCREMENT BY 2)) WITH (fillfactor = 70)
%%pgmonkey
CREATE TABLE t3 (a int, b int GENERATED ALWAYS AS (a + 1) STORED, c int[3], d timestamp(3) with time zone, e interval day to second(2), f bit varying(5), g "char", FOREIGN KEY (a) REFERENCES t1 MATCH FULL ON DELETE SET NULL ON UPDATE CASCADE DEFERRABLE INITIALLY DEFERRED)
%%pgmonkey
CREATE TABLE parent (id int, at date) PARTITION BY RANGE (at); CREATE TABLE child1 PARTITION OF parent FOR VALUES FROM ('2024-01-01') TO ('2025-01-01'); CREATE TABLE child2 PARTITION OF parent DEFAULT PARTITION BY LIST (id); CREATE TABLE child3 PARTITION OF child2 FOR VALUES IN (1, 2, NULL); CREATE TABLE child4 PARTITION OF child2 FOR VALUES IN (3)
%%pgmonkey
CREATE TABLE hashed (k text) PARTITION BY HASH (k); CREATE TABLE hashed0 PARTITION OF hashed FOR VALUES WITH (MODULUS 2, REMAINDER 0); CREATE TABLE hashed1 PARTITION OF hashed FOR VALUES WITH (MODULUS 2, REMAINDER 1); INSERT INTO hashed VALUES ('a'), ('b'), ('c') RETURNING k
%%pgmonkey
CREATE TABLE base (x int); CREATE TABLE derived (y int) INHERITS (base); INSERT INTO derived VALUES (1, 2); SELECT * FROM base; SELECT * FROM base*; SELECT * FROM ONLY base
%%pgmonkey
ALTER TABLE t1 ADD COLUMN d int DEFAULT 5, ALTER COLUMN b SET DEFAULT 'y', ALTER a TYPE bigint USING a::bigint, DROP CONSTRAINT positive, ADD CONSTRAINT named CHECK (d <> 0) NOT VALID, ALTER b SET STORAGE EXTERNAL
%%pgmonkey
ALTER TABLE t1 VALIDATE CONSTRAINT named; ALTER TABLE t1 RENAME COLUMN d TO "d:e"; ALTER TABLE t1 RENAME TO "t one"; ALTER TABLE "t one" RENAME TO t1; ALTER TABLE IF EXISTS nothing ADD a int
%%pgmonkey
ALTER TABLE parent DETACH PARTITION child1; ALTER TABLE parent ATTACH PARTITION child1 FOR VALUES FROM ('2024-01-01') TO ('2024-06-01')
%%pgmonkey
CREATE INDEX ON t1 (b); CREATE UNIQUE INDEX "odd;index" ON t1 USING btree (lower(b) COLLATE "C" text_pattern_ops DESC NULLS LAST, (a + 1)) INCLUDE (c) WITH (fillfactor = 50) WHERE a > 0 AND b <> ';'
%%pgmonkey
CREATE INDEX g1 ON t3 USING gin (c); CREATE STATISTICS st1 (ndistinct, dependencies) ON a, c FROM t1; REINDEX INDEX g1; CLUSTER t1 USING t1_pkey; DROP INDEX "odd;index", g1
%%pgmonkey
CREATE VIEW v1 (one, "two;") AS SELECT a, b FROM t1 WHERE b <> ';' WITH LOCAL CHECK OPTION
%%pgmonkey
CREATE OR REPLACE VIEW v1 AS SELECT a AS one, b AS "two;" FROM t1 WHERE b ~ '^[a:b]+$'; SELECT pg_get_viewdef('v1'::regclass)
%%pgmonkey
CREATE RECURSIVE VIEW counted (n) AS VALUES (1) UNION ALL SELECT n + 1 FROM counted WHERE n < 3; TABLE counted
%%pgmonkey
CREATE MATERIALIZED VIEW mv AS SELECT 1 AS a; REFRESH MATERIALIZED VIEW mv; CREATE UNIQUE INDEX ON mv (a); REFRESH MATERIALIZED VIEW CONCURRENTLY mv; TABLE mv
%%pgmonkey
CREATE TABLE log (what text, n int); CREATE RULE r1 AS ON INSERT TO t3 DO ALSO (INSERT INTO log VALUES ('one;', NEW.a); INSERT INTO log VALUES ('two', NEW.a + 1)); CREATE RULE r2 AS ON DELETE TO t3 DO INSTEAD NOTHING
%%pgmonkey
INSERT INTO t3 (a) VALUES (NULL); SELECT * FROM log; DELETE FROM t3; SELECT count(*) FROM t3; DROP RULE r1 ON t3
%%pgmonkey
CREATE OR REPLACE RULE r3 AS ON UPDATE TO t3 WHERE OLD.a IS NULL DO INSTEAD (
  INSERT INTO log VALUES ($$;$$, 3);
  /* between; */
  UPDATE log SET n = n WHERE what = ';' -- last;
); UPDATE t3 SET c = '{1}'; SELECT what, n FROM log ORDER BY 1, 2
%%pgmonkey
CREATE TYPE mood AS ENUM ('sad', 'o:k', 'it''s'); ALTER TYPE mood ADD VALUE IF NOT EXISTS 'new' BEFORE 'sad'; SELECT 'sad'::mood < 'it''s'::mood, enum_range(NULL::mood)
%%pgmonkey
CREATE TYPE comp AS (a int, "b c" text); ALTER TYPE comp ADD ATTRIBUTE d date; SELECT (1, 'x', '2024-01-01')::comp, ((1, 'x', NULL)::comp)."b c"
%%pgmonkey
CREATE DOMAIN zip AS text DEFAULT '00000' NOT NULL CHECK (VALUE ~ '^\d{5}$'); SELECT '12345'::zip
%%pgmonkey
SELECT 'abc'::zip
%%pgmonkey
CREATE TYPE frange AS RANGE (subtype = float8, subtype_diff = float8mi, multirange_type_name = fmrange); SELECT '[1.5,2]'::frange, '{[1,2)}'::fmrange
%%pgmonkey
CREATE SEQUENCE s1 AS smallint INCREMENT BY -1 MINVALUE -10 MAXVALUE 10 START 3 CACHE 1 CYCLE OWNED BY NONE; SELECT nextval('s1'), nextval('s1'), currval('s1'), lastval(), setval('s1', 7, false); ALTER SEQUENCE s1 RESTART WITH 5; SELECT nextval('s1')
%%pgmonkey
COMMENT ON TABLE t1 IS 'it''s; a "comment" -- with :odd $$ things /* in it'; SELECT obj_description('t1'::regclass)
%%pgmonkey
COMMENT ON COLUMN t1.a IS E'line\none\\'; COMMENT ON COLUMN t1.b IS $c$dollar; 'quoted'$c$; COMMENT ON TYPE mood IS NULL; COMMENT ON CONSTRAINT named ON t1 IS U&'\00e9'; SELECT col_description('t1'::regclass, 1), col_description('t1'::regclass, 2)
%%pgmonkey
CREATE ROLE "odd role;:" NOLOGIN; GRANT SELECT (a), INSERT ON t1 TO "odd role;:" WITH GRANT OPTION; GRANT USAGE ON SCHEMA public TO PUBLIC; REVOKE GRANT OPTION FOR INSERT ON t1 FROM "odd role;:" CASCADE; ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO "odd role;:"; DROP OWNED BY "odd role;:"; DROP ROLE "odd role;:"
%%pgmonkey
CREATE ROLE corpus_login LOGIN PASSWORD 'p:w;''x' CONNECTION LIMIT 3 VALID UNTIL '2030-01-01'; ALTER ROLE corpus_login SET search_path TO "a:b", public; DROP ROLE corpus_login
%%pgmonkey
ALTER TABLE t1 ENABLE ROW LEVEL SECURITY; CREATE POLICY p1 ON t1 AS RESTRICTIVE FOR SELECT TO PUBLIC USING (b <> ';' AND a > 0); ALTER POLICY p1 ON t1 USING (true); DROP POLICY p1 ON t1
%%pgmonkey
CREATE COLLATION mine (provider = libc, locale = 'C'); CREATE CAST (mood AS bigint) WITH INOUT; CREATE AGGREGATE mysum (int) (SFUNC = int4pl, STYPE = int, INITCOND = '0'); SELECT mysum(x) FROM (VALUES (1), (2)) t(x)
%%pgmonkey
CREATE OPERATOR <<<>>> (LEFTARG = int, RIGHTARG = int, FUNCTION = int4pl); SELECT 1 <<<>>> 2, 1<<<>>>2; CREATE OPERATOR ?#@! (LEFTARG = int, RIGHTARG = int, FUNCTION = int4mul); SELECT 3 ?#@! 4; DROP OPERATOR ?#@! (int, int)
%%pgmonkey
CREATE OPERATOR @- (RIGHTARG = int, FUNCTION = int4um); SELECT @- 5, @-5, - @-5
%%pgmonkey
CREATE TEXT SEARCH CONFIGURATION tsc (COPY = simple); ALTER TEXT SEARCH CONFIGURATION tsc DROP MAPPING IF EXISTS FOR url; DROP TEXT SEARCH CONFIGURATION tsc
%%pgmonkey
CREATE FOREIGN DATA WRAPPER fdw OPTIONS (debug 'a;b'); CREATE SERVER srv FOREIGN DATA WRAPPER fdw OPTIONS (host 'x:y'); CREATE FOREIGN TABLE ft (a int OPTIONS (column_name 'A''B')) SERVER srv OPTIONS (table_name ';'); CREATE USER MAPPING FOR CURRENT_USER SERVER srv OPTIONS (password '$$'); DROP FOREIGN DATA WRAPPER fdw CASCADE
%%pgmonkey
CREATE PUBLICATION pub FOR TABLE t1 (a) WHERE (a > 1) WITH (publish = 'insert, update'); DROP PUBLICATION pub
%%pgmonkey
SECURITY LABEL ON TABLE t1 IS 'x'
%%pgmonkey
CREATE EXTENSION IF NOT EXISTS plpgsql; CREATE ACCESS METHOD heap_again TYPE TABLE HANDLER heap_tableam_handler; DROP ACCESS METHOD heap_again
%%pgmonkey
DROP TABLE IF EXISTS nothing, t2 CASCADE; DROP VIEW v1 RESTRICT; DROP TYPE comp, frange; DROP DOMAIN zip; DROP SEQUENCE s1
%%pgmonkey
CREATE TABLE "a.b" ("c.d" int); INSERT INTO "a.b" VALUES (1); SELECT "a.b"."c.d", public."a.b"."c.d" FROM public."a.b"; DROP TABLE "a.b"
%%pgmonkey
CREATE TABLE U&"\0061bc" (U&"d!0065" UESCAPE '!' int); SELECT de FROM abc; DROP TABLE abc
