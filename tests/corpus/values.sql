%%pgmonkey
SELECT '192.168.1.5'::inet << '192.168.1.0/24'::inet, inet '10.0.0.1' <<= '10.0.0.0/8', '10/8'::cidr >> '10.1/16', '::1'::inet, 'fe80::1/64'::inet, '::ffff:1.2.3.4'::inet
%%pgmonkey
SELECT inet '192.168.1.6' & inet '0.0.0.255', ~ inet '192.168.1.6', inet '::1' + 1, '08:00:2b:01:02:03'::macaddr, '08:00:2b:01:02:03:04:05'::macaddr8
%%pgmonkey
SELECT '{"a":1}'::jsonb, '{"a":{"b":[1,2]}}'::jsonb -> 'a' -> 'b' ->> 0, '{"a":{"b":1}}'::jsonb #> '{a,b}', '{"a":1}'::json #>> '{a}'
%%pgmonkey
SELECT '{"a":1}'::jsonb ? 'a', '{"a":1}'::jsonb ?| array['a','b'], '{"a":1}'::jsonb ?& array['a','b'], '["x"]'::jsonb ? 'x'
%%pgmonkey
SELECT '{"a":1,"b":2}'::jsonb @> '{"a":1}', '{"a":1}'::jsonb <@ '{"a":1,"b":2}', '{"a":1}'::jsonb || '{"c":3}', '{"a":1}'::jsonb - 'a', '[1,2]'::jsonb #- '{0}'
%%pgmonkey
SELECT '{"a":[1,2,3]}'::jsonb @? '$.a[*] ? (@ > 2)', '{"a":[1,2,3]}'::jsonb @@ '$.a[0] == 1', jsonb_path_query_array('{"a":[1,2,3]}', '$.a[*] ? (@ >= $min)', '{"min":2}')
%%pgmonkey
SELECT '$.a.b ? (@.c like_regex "^x" flag "i")'::jsonpath, '$[1 to last]'::jsonpath, 'strict $."k:ey"'::jsonpath, '$.a.datetime("HH24:MI")'::jsonpath
%%pgmonkey
SELECT ('{"a":{"b":7}}'::jsonb)['a']['b'], ('[1,2,3]'::jsonb)[1]
%%pgmonkey
SELECT json_value('{"a":"x"}', '$.a'), json_query('{"a":[1]}', '$.a' WITH WRAPPER), json_exists('{"a":1}', '$.a ? (@ > $x)' PASSING 0 AS x)
%%pgmonkey
SELECT * FROM json_table('[{"a":1,"b":"x"},{"a":2}]', '$[*]' COLUMNS (id FOR ORDINALITY, a int PATH '$.a', b text PATH '$.b' DEFAULT 'none' ON EMPTY)) AS t
%%pgmonkey
SELECT '{"a":1}' IS JSON, '[1]' IS JSON ARRAY, '{"a":1,"a":2}' IS JSON OBJECT WITH UNIQUE KEYS, 'x' IS NOT JSON
%%pgmonkey
SELECT jsonb_pretty('{"a":[1,{"b":null}]}'), jsonb_set('{"a":1}', '{a}', '2'), jsonb_build_object('a', 1, 'b', ARRAY[1,2]), to_jsonb(ROW(1, 'x'))
%%pgmonkey
SELECT key, value FROM jsonb_each('{"a":1,"b":"c"}') ORDER BY key
%%pgmonkey
SELECT '{{1,2},{3,4}}'::int[], '{}'::text[], '{"a,b","c\"d",NULL,"NULL",""}'::text[], '[0:2]={1,2,3}'::int[], ARRAY[[1,2],[3,4]], ARRAY[]::int[]
%%pgmonkey
SELECT ARRAY[1,2] || 3, ARRAY[1,2] && ARRAY[2,3], ARRAY[1,2,3] @> ARRAY[2], ARRAY[1] <@ ARRAY[1,2], array_append(ARRAY['a'], 'b'), cardinality('{1,2}'::int[])
%%pgmonkey
SELECT array_agg(x ORDER BY x DESC), array_agg(x) FILTER (WHERE x > 1), ARRAY(SELECT generate_series(1, 3)) FROM (VALUES (1),(2)) AS t(x)
%%pgmonkey
SELECT array_dims('[-1:1]={1,2,3}'::int[]), ('[-1:1]={1,2,3}'::int[])[-1:0], (ARRAY[1,2,3])[-1], array_position(ARRAY['a','b'], 'b'), string_to_array('a:b:c', ':')
%%pgmonkey
SELECT int4range(1, 5), '[1,5)'::int4range, '(,3]'::numrange, 'empty'::int4range, '[2024-01-01,2024-02-01)'::daterange, int4range(1,5) @> 3
%%pgmonkey
SELECT int4range(1,5) && int4range(4,8), int4range(1,2) -|- int4range(2,3), int4range(1,2) << int4range(5,6), int4range(1,5) * int4range(3,8), int4range(1,5) &< int4range(3,9)
%%pgmonkey
SELECT '{[1,3),[5,7)}'::int4multirange, int4multirange(int4range(1,3), int4range(2,6)), '{[1,3)}'::int4multirange @> 2, range_merge('{[1,2),[5,6)}'::int4multirange), unnest('{[1,2),[5,6)}'::int4multirange)
%%pgmonkey
SELECT ROW(1, 'a', NULL), (1, 'b'), ROW(), (ROW(1,2)).f1, ROW(1,2) < ROW(1,3), ROW(1,NULL) IS NULL, (1,2) = (1,2), (1, (2, 'x,y'))
%%pgmonkey
SELECT date '2024-02-29', time '12:34:56.789', time with time zone '12:00+02', timestamp '2024-01-01 00:00:00', timestamptz '2024-01-01 00:00+00', 'infinity'::timestamp, '-infinity'::date
%%pgmonkey
SELECT interval '1 year 2 months 3 days 04:05:06', interval '90' minute, interval '1-2' year to month, interval(3) '1.23456 s', interval 'P1DT2H', '1 mon'::interval * 2
%%pgmonkey
SELECT '4714-11-24 BC'::date, '294276-12-31'::timestamp, '0001-01-01'::date, '24:00'::time, timestamp 'epoch', date 'infinity' > date '9999-12-31'
%%pgmonkey
SELECT timestamp '2024-03-10 12:00' AT TIME ZONE 'Europe/Paris', timestamptz '2024-03-10 12:00+00' AT TIME ZONE INTERVAL '-05:30', EXTRACT(epoch FROM interval '1 day'), date_trunc('week', date '2024-05-15')
%%pgmonkey
SELECT (date '2024-01-01', interval '1 month') OVERLAPS (date '2024-01-15', date '2024-03-01'), date '2024-05-01' - date '2024-04-01', date '2024-01-31' + interval '1 month'
%%pgmonkey
SELECT 1.5::numeric(5,2), 'NaN'::numeric, 'Infinity'::float8, '-inf'::float4, 1e400::numeric > 0, 0.1::float4, 0.1::float8 + 0.2, 12345678901234567890.123456789::numeric
%%pgmonkey
SELECT 10/3, 10/3.0, -7/2, -7%3, 2^0.5, 5!=4, div(7,2), mod(-7,3), round(2.5), round(2.5::float8), trunc(-1.7), ceil(1.2), 1/NULLIF(2,1)
%%pgmonkey
SELECT 32767::smallint, 2147483647, 9223372036854775807, '12'::oid, '$1,234.56'::money, 1::bit(3), '101'::bit varying(5), true, 'no'::bool, 't'::boolean
%%pgmonkey
SELECT '\xDEADbeef'::bytea, E'\\000\\001'::bytea, 'abc'::bytea, decode('AAE=', 'base64'), encode('\x00ff', 'hex'), '\x'::bytea || '\x01', convert_from('\xc3a9', 'UTF8')
%%pgmonkey
SELECT 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid, '{A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}'::uuid, '0/16B3748'::pg_lsn, '10:20:10,14'::pg_snapshot, '(0,1)'::tid
%%pgmonkey
SELECT '(1,2)'::point, '[(0,0),(1,1)]'::lseg, '((0,0),(2,2))'::box, '<(0,0),5>'::circle, '((0,0),(1,0),(0,1))'::polygon, '{1,-1,0}'::line, '[(0,0),(1,1)]'::path
%%pgmonkey
SELECT point '(0,0)' <-> point '(3,4)', box '((0,0),(2,2))' @> point '(1,1)', point '(1,1)' <@ circle '<(0,0),5>', lseg '[(0,0),(2,2)]' ?# lseg '[(0,2),(2,0)]', ?- lseg '[(0,0),(1,0)]', ?| lseg '[(0,0),(0,1)]', point '(0,1)' ?| point '(0,0)'
%%pgmonkey
SELECT lseg '[(0,0),(1,0)]' ?|| lseg '[(0,1),(1,1)]', lseg '[(0,0),(1,0)]' ?-| lseg '[(0,0),(0,1)]', box '((0,0),(1,1))' <<| box '((2,2),(3,3))', box '((0,0),(1,1))' ~= box '((1,1),(0,0))', # path '((1,0),(0,1),(-1,0))', @-@ path '((0,0),(1,0))', @@ box '((0,0),(2,2))', point '(5,5)' ## box '((0,0),(1,1))'
%%pgmonkey
SELECT point '(1,1)' |>> point '(0,0)', point '(0,0)' <<| point '(1,1)', point '(0,0)' <^ point '(0,1)', box '(1,1),(0,0)' |&> box '(3,3),(2,2)'
%%pgmonkey
SELECT to_tsvector('simple', 'the quick brown fox') @@ to_tsquery('simple', 'quick & !slow'), 'a:1A b:2'::tsvector, 'a & (b | !c) <-> d'::tsquery, 'fat <2> cat'::tsquery, 'super:*A'::tsquery, tsquery 'a' && 'b' || 'c', !! tsquery 'x'
%%pgmonkey
SELECT ts_headline('simple', 'a big cat'::text, 'cat'::tsquery), websearch_to_tsquery('simple', '"big cat" -dog or bird'), ts_rank('a:1'::tsvector, 'a'), strip('a:1 b:2'::tsvector), setweight('a:1'::tsvector, 'B')
%%pgmonkey
SELECT 'pg_class'::regclass, 'now'::regproc, 'abs(int4)'::regprocedure, '+(int4,int4)'::regoperator, 'int4'::regtype, 'pg_catalog'::regnamespace, 'simple'::regconfig, '"C"'::regcollation
%%pgmonkey
SELECT 'a' COLLATE "C" < 'B' COLLATE "C", 'x'::char(3) || '|', 'abcdef'::varchar(3), 'name'::name, length('x  '::char(5)), 'a'::"char", quote_ident('a b'), quote_literal('a''b\c'), quote_nullable(NULL)
%%pgmonkey
SELECT substring('abcdef' FROM 2 FOR 3), substring('abc' FROM 'b.'), substring('abc' SIMILAR 'a#"b#"c' ESCAPE '#'), overlay('abcdef' PLACING 'X' FROM 2 FOR 1), position('c' IN 'abc'), trim(BOTH 'x' FROM 'xax'), trim(LEADING FROM '  a')
%%pgmonkey
SELECT regexp_replace('a.b:c', '([.:])', '<\1>', 'g'), regexp_matches('foobar', '(o+)(b)'), regexp_split_to_array('a, b;c', '[,;]\s*'), regexp_count('aaa', 'a'), 'a\b' ~ '\\', E'a\nb' ~ 'a$'
%%pgmonkey
SELECT CASE WHEN 1=1 THEN 'a' ELSE 'b' END, CASE 2 WHEN 1 THEN 'x' WHEN 2 THEN 'y' END, COALESCE(NULL, 1), GREATEST(1,3,2), LEAST(1,NULL), NULLIF(1,1), CASE WHEN false THEN 1 END
%%pgmonkey
SELECT NULL IS NULL, 1 IS NOT NULL, NULL ISNULL, 1 NOTNULL, true IS TRUE, NULL IS UNKNOWN, 1 IS DISTINCT FROM NULL, NULL IS NOT DISTINCT FROM NULL, 2 BETWEEN 1 AND 3, 2 NOT BETWEEN SYMMETRIC 3 AND 1, 1 IN (1,2), 1 NOT IN (2)
%%pgmonkey
SELECT pg_typeof(1), pg_typeof('x'), pg_typeof(NULL), pg_typeof(ARRAY[1]), pg_typeof(ROW(1)), current_schema, session_user IS NOT NULL, pg_typeof(current_date), pg_typeof(localtimestamp(0))
%%pgmonkey
SELECT xmlelement(name foo, xmlattributes('a' AS "b:c"), 'text'), xmlforest(1 AS a), '<a>b</a>'::xml, xpath('//a/text()', '<a>b</a>'), xmlparse(CONTENT 'x<y/>'), xmlserialize(CONTENT '<a/>' AS text), '<a/>' IS DOCUMENT
%%pgmonkey
SELECT * FROM xmltable('/r/i' PASSING '<r><i n="1">a</i></r>' COLUMNS n int PATH '@n', t text PATH '.')
%%pgmonkey
SELECT 1 AS a, 2 AS a, 3 AS a_1, 4 AS "A", 5, 6, 'x' AS "?column?"
%%pgmonkey
SELECT NULL, NULL::int, NULL::bool, NULL::timestamptz, NULL::jsonb, NULL::int[], NULL::numeric, ''::text
%%pgmonkey
SELECT repeat('x', 100000), string_agg(i::text, ',') FROM generate_series(1, 20000) AS i
