-- The schema of test_backslash.py. @name@ is a part of the names of roles, which all databases of a server share.
CREATE SCHEMA shop;
COMMENT ON SCHEMA shop IS 'the shop';
CREATE ROLE @name@_clerk NOLOGIN;
CREATE ROLE @name@_boss LOGIN BYPASSRLS CONNECTION LIMIT 3 VALID UNTIL '2030-01-01';
GRANT @name@_clerk TO @name@_boss;
COMMENT ON ROLE @name@_clerk IS 'serves';
SET search_path = shop, public;
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
COMMENT ON TYPE mood IS 'how it feels';
CREATE DOMAIN positive AS int CHECK (VALUE > 0) DEFAULT 1;
COMMENT ON DOMAIN positive IS 'more than nothing';
CREATE TYPE pair AS (a int, b text);
CREATE TABLE customers (
  id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text COLLATE "C" NOT NULL,
  mood mood DEFAULT 'ok',
  email varchar(80) UNIQUE,
  upper_name text GENERATED ALWAYS AS (upper(name)) STORED,
  CHECK (length(name) > 0)
);
COMMENT ON TABLE customers IS 'who buys';
COMMENT ON COLUMN customers.name IS 'in full';
CREATE TABLE orders (
  id bigserial PRIMARY KEY,
  customer_id int REFERENCES customers ON DELETE CASCADE,
  n positive,
  at timestamptz DEFAULT now(),
  place point,
  EXCLUDE USING gist (place WITH ~=)
);
CREATE INDEX orders_at ON orders (at DESC) WHERE n > 3;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NEW; END$$;
CREATE FUNCTION add(a int, b int DEFAULT 2) RETURNS int LANGUAGE sql IMMUTABLE AS $$ SELECT a + b $$;
COMMENT ON FUNCTION add IS 'adds';
CREATE FUNCTION add(a text) RETURNS text LANGUAGE sql AS $$ SELECT a $$;
CREATE FUNCTION one() RETURNS int LANGUAGE sql SECURITY DEFINER AS $$ SELECT 1 $$;
CREATE PROCEDURE doit() LANGUAGE sql AS $$ SELECT 1 $$;
CREATE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0');
CREATE TRIGGER a_touch BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TRIGGER b_off BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TRIGGER c_always AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TRIGGER d_replica AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION touch();
ALTER TABLE orders DISABLE TRIGGER b_off;
ALTER TABLE orders ENABLE ALWAYS TRIGGER c_always;
ALTER TABLE orders ENABLE REPLICA TRIGGER d_replica;
CREATE RULE nothing AS ON DELETE TO orders WHERE OLD.n > 10 DO INSTEAD NOTHING;
CREATE RULE off AS ON DELETE TO orders WHERE OLD.n > 11 DO INSTEAD NOTHING;
ALTER TABLE orders DISABLE RULE off;
CREATE STATISTICS orders_all ON id, n FROM orders;
CREATE STATISTICS orders_some (ndistinct, mcv) ON id, customer_id FROM orders;
ALTER STATISTICS orders_some SET STATISTICS 7;
CREATE VIEW happy AS SELECT * FROM customers WHERE mood = 'happy';
COMMENT ON VIEW happy IS 'the happy';
CREATE VIEW changeable WITH (security_barrier) AS SELECT id, name FROM customers;
CREATE RULE up AS ON UPDATE TO changeable DO INSTEAD UPDATE customers SET name = NEW.name WHERE id = OLD.id;
CREATE TRIGGER into_it INSTEAD OF INSERT ON changeable FOR EACH ROW EXECUTE FUNCTION touch();
CREATE MATERIALIZED VIEW sums AS SELECT customer_id, sum(n) FROM orders GROUP BY 1;
CREATE UNIQUE INDEX sums_i ON sums (customer_id);
CREATE TABLE events (at date NOT NULL, what text, order_id bigint REFERENCES orders) PARTITION BY RANGE (at);
CREATE TABLE events_2024 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE events_2025 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01') PARTITION BY LIST (what);
CREATE TABLE events_rest PARTITION OF events DEFAULT;
CREATE INDEX events_at ON events (at);
CREATE TRIGGER on_all AFTER INSERT ON events FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TABLE parent (a int);
CREATE TABLE child (b int) INHERITS (parent);
CREATE TABLE grandchild () INHERITS (child);
CREATE SEQUENCE counter START 5 INCREMENT 3 CYCLE CACHE 4 MAXVALUE 100;
CREATE TABLE "weird ""name"" $é; --" ("col ""x""" int, "Ü" text, "a.b" int, "100%" int DEFAULT 1);
CREATE TABLE "MixedCase" (i int PRIMARY KEY);
CREATE TABLE refers (x int);
ALTER TABLE refers ADD FOREIGN KEY (x) REFERENCES "MixedCase" NOT VALID;
ALTER TABLE refers DISABLE TRIGGER ALL;
CREATE SEQUENCE "s""; DROP TABLE shop.parent CASCADE; --";
CREATE TABLE secure (id int, who text);
ALTER TABLE secure ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON secure FOR SELECT TO @name@_clerk USING (who = current_user);
GRANT SELECT ON secure TO @name@_clerk;
GRANT SELECT (id) ON customers TO @name@_clerk;
CREATE TABLE forced (id int, CONSTRAINT late UNIQUE (id) DEFERRABLE INITIALLY DEFERRED);
ALTER TABLE forced ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY p1 ON forced AS RESTRICTIVE FOR UPDATE TO @name@_clerk, @name@_boss USING (id > 1) WITH CHECK (id > 2);
CREATE POLICY p2 ON forced WITH CHECK (true);
CREATE TABLE no_policy (id int);
ALTER TABLE no_policy ENABLE ROW LEVEL SECURITY;
CREATE TABLE policy_off (id int);
CREATE POLICY unused ON policy_off USING (true);
ALTER DEFAULT PRIVILEGES IN SCHEMA shop GRANT SELECT ON TABLES TO @name@_clerk;
CREATE TABLE typed OF pair;
CREATE TABLE no_column ();
CREATE UNLOGGED TABLE scratch (i int UNIQUE, t text, d int DEFAULT 3) WITH (fillfactor = 70, toast.autovacuum_enabled = off);
ALTER TABLE scratch ALTER COLUMN t SET STORAGE EXTERNAL, ALTER COLUMN t SET COMPRESSION pglz;
ALTER TABLE scratch ALTER COLUMN i SET STATISTICS 50;
ALTER TABLE scratch REPLICA IDENTITY FULL;
ALTER TABLE scratch CLUSTER ON scratch_i_key;
CREATE TABLE many (
  a int DEFAULT 1, b text DEFAULT E'x\ny', g int GENERATED BY DEFAULT AS IDENTITY,
  CHECK (a > 0 AND
    b IS NOT NULL),
  CONSTRAINT here CHECK (a < 1000) NO INHERIT
);
CREATE INDEX many_expression ON many (lower(b), a) INCLUDE (g) WHERE a > 5;
CREATE SEQUENCE owned AS smallint OWNED BY many.a;
CREATE CONSTRAINT TRIGGER later AFTER INSERT ON many DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW WHEN (NEW.a > 1) EXECUTE FUNCTION touch();
CREATE FOREIGN DATA WRAPPER nowhere;
CREATE SERVER far FOREIGN DATA WRAPPER nowhere OPTIONS (host 'h''h');
CREATE FOREIGN TABLE remote (a int OPTIONS (column_name 'x y'), b text NOT NULL CHECK (b <> ''))
  SERVER far OPTIONS (table_name 'T"t', "odd name" '1');
SET client_min_messages = error;
CREATE PUBLICATION for_all FOR ALL TABLES;
CREATE PUBLICATION for_some FOR TABLE parent;
CREATE TEXT SEARCH CONFIGURATION mine (COPY = simple);
