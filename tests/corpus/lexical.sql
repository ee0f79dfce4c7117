%%pgmonkey
SELECT 1
%%pgmonkey
SELECT 1;
%%pgmonkey
SELECT 1 ; ;; 
%%pgmonkey
;SELECT 1
%%pgmonkey
SELECT
%%pgmonkey
SELECT 'it''s', '', '''', ';', '--', '/*', '"', ':name', '$$', '%s', '{brace}', '{{two}}', '?'
%%pgmonkey
SELECT '\', '\\', 'C:\temp\new', '\n', '\' -- the backslash is a letter
%%pgmonkey
SELECT E'\'', E'\\', E'a\nb\tc', E'\x41\u00e9\U0001F600', E'\101', E';\';', E'--\'--', e'a''b\\', E':x\':y'
%%pgmonkey
SELECT E'one\''
  'two\'' AS joined
%%pgmonkey
SELECT 'one' -- a comment between the two
  'two' AS joined,
  'three'

  'four'
%%pgmonkey
SELECT U&'d\0061t\+000061', U&'d!0061t!!' UESCAPE '!', u&'\\'
%%pgmonkey
SELECT U&"d\0061t" FROM (SELECT 1 AS data) AS s(dat)
%%pgmonkey
SELECT U&"d!0061t" UESCAPE '!' FROM (SELECT 1) AS s(dat)
%%pgmonkey
SELECT B'1010', b'1', X'1f', x'FF', B'10' || X'f', N'national', n'it''s'
%%pgmonkey
SELECT $$it's "quoted" -- no comment /* none */ ; :x $1 $ $$, $a$ $$ inside $$ $a$, $été$é$été$, $_1$x$_1$, $$$$
%%pgmonkey
SELECT $a$
  several
  lines; 'open
$a$ AS text, $A$ $a$ $A$ AS other
%%pgmonkey
SELECT $outer$ a $inner$ b $inner$ c $outer$, $q$$q$
%%pgmonkey
SELECT 1 AS a$b, 2 AS a$$, 3 AS _$1$
%%pgmonkey
SELECT 1 /* one /* nested ; ' " $$ */ still */ + /**/ 2 /***/ AS sum /*/ slash star slash */
%%pgmonkey
/* first */ -- second
SELECT 1 -- last
%%pgmonkey
-- a comment that stands first; it's no statement
-- :name in a comment
SELECT 1
%%pgmonkey
SELECT 1 -- it's; "open
, 2 /* '; */ , 3
%%pgmonkey
/* only */ SELECT /* between */ 'a' /* after */
%%pgmonkey
SELECT 5*/* no operator */3, 5-/**/-3, 7 - -1, 2 --- three dashes
%%pgmonkey
SELECT 1 AS "a b", 2 AS "a""b", 3 AS "it's", 4 AS ";", 5 AS "--", 6 AS "/*", 7 AS "$$", 8 AS ":x", 9 AS "%", 10 AS "{}"
%%pgmonkey
SELECT 1 AS "Ünïcödé ☃", 2 AS "日本語", 3 AS été, 4 AS "tab	in name", 5 AS "\", 6 AS "E'", 7 AS "[1]"
%%pgmonkey
SELECT 1 AS "two
lines"
%%pgmonkey
SELECT 'snow ☃ man', 'é' = U&'\00e9', length('😀'), 'a b' /* a no-break space */, '日本' || '語'
%%pgmonkey
SELECT 1 AS a b
%%pgmonkey
SELECT 'line one
line two;
  -- line three
line four'
%%pgmonkey
SELECT 0, 42, 1_000_000, 0x1F, 0XFF, 0o17, 0b1010, 0x_ff, 1., .5, 1.5e3, 1e-3, 1E+3, .1e1, 1_0.2_5, 9223372036854775808
%%pgmonkey
SELECT 1a
%%pgmonkey
SELECT 1.5.2
%%pgmonkey
SELECT 1..2
%%pgmonkey
SELECT 0x
%%pgmonkey
SELECT $1
%%pgmonkey
SELECT 12:30
%%pgmonkey
SELECT 1::text, 1 ::text, 1:: text, 1 :: text, '1'::int::text::varchar(3), CAST(1 AS text), int '1', 'x'::"char"
%%pgmonkey
SELECT true::int, NULL::text, '(1,2)'::point, '{1,2}'::int[]::text, ('1'||'2')::int, "int4"('7')
%%pgmonkey
SELECT -1::int, - 1, -(-1), +1, 2-1, 2- -1, @ -5, |/ 16, ||/ 27, 5 != -1, 3^2, -2^2, 7%3, 7 % 3, 5#3, ~5, 1<<4, 256>>4, 6&3, 6|3
%%pgmonkey
SELECT 1<2, 1>2, 1<=2, 1>=2, 1<>2, 1!=2, 1=1, NOT 1=2, 1 < 2 AND 2 < 3, 'a' < 'b'
%%pgmonkey
SELECT 'abc' LIKE 'a%', 'abc' NOT LIKE '%d_', 'a%b' LIKE 'a\%b', 'a%b' LIKE 'a!%b' ESCAPE '!', 'ABC' ILIKE 'a%', 'abc' ~~ 'a%'
%%pgmonkey
SELECT 'abc' ~ '^a.c$', 'abc' ~* 'B', 'abc' !~ 'd', 'abc' !~* 'A', 'abc' SIMILAR TO '(a|b)%', 'foo' ~ '\mfoo\M', 'a:b' ~ ':\w'
%%pgmonkey
SELECT OPERATOR(pg_catalog.-) 5, 3 OPERATOR(pg_catalog.+) 4, 'a' OPERATOR(pg_catalog.||) 'b'
%%pgmonkey
SELECT '%s %(name)s %% {0} {{x}} {x!r}', 'a' || '%' || 'b', format('%s-%I-%L', 'a', 'b c', 'd''e'), to_char(1234.5, 'FM9,999.00')
%%pgmonkey
SELECT 'http://example.org:80/?a=1&b=2#x', '12:34:56', 'key: value', '{"a": {"b": ":c"}}', '$name ${name} {name} !ls `x` \:x'
%%pgmonkey
SELECT '!', '!!', '?', '??', '%magic', '%%magic', '#', '$x', '@', 'a?' -- is this one a question?
%%pgmonkey
SELECT 'a' "b"
%%pgmonkey
select	1	as	tabs
%%pgmonkey
SELECT 1AS glued
%%pgmonkey
SELECT 'x'AS glued,(1)AS"n"
%%pgmonkey
SELECT 'a' 'b'
%%pgmonkey
SELECT(1),(2),((3))
%%pgmonkey
SELECT 'x'AS"y",'z'"w"
%%pgmonkey
SELECT*FROM(VALUES(1),(2))t(a)WHERE(a)>1 OR(a)<0
%%pgmonkey
SELECT (array[1,2,3])[1], (array[1,2,3])[1:2], (array[1,2,3])[:2], (array[1,2,3])[2:], (array[1,2,3])[:], (array[1,2])[1 : 2]
%%pgmonkey
SELECT x[lo:hi], x[1:hi], x[lo:2], x[lo :hi], x[(lo):hi], x[lo+0:hi], x[f.lo:f.hi] FROM (SELECT array[5,6,7,8] AS x, 2 AS lo, 3 AS hi) f
%%pgmonkey
SELECT "x"["lo":"hi"], x[abs(-1):hi], x[array_lower(x,1):array_upper(x,1)], x[case when true then 1 end :2] FROM (SELECT array[5,6,7] AS x, 1 AS lo, 2 AS hi) f
%%pgmonkey
SELECT (x)[1:2][1:1], x[2][1], x[1:2] FROM (SELECT '{{1,2},{3,4}}'::int[] AS x) f
%%pgmonkey
SELECT json_object('a' : 1, 'b' : 'c', 'd':null)::text, json_object('k':v) FROM (SELECT 1 AS v) s
%%pgmonkey
SELECT json_object('a' VALUE 1 ABSENT ON NULL), json_array(1, 2, NULL NULL ON NULL), json_objectagg(k : v) FROM (VALUES ('a', 1)) AS t(k, v)
%%pgmonkey
SELECT make_interval(days => 1, hours := 2), 'x' = any ('{x,y}'), 1 = ANY (ARRAY[1,2]), 2 <> ALL ('{1,3}'::int[])
%%pgmonkey
SELECT BETWEEN FROM
%%pgmonkey
SELECT "select" FROM (SELECT 1 AS "select") AS "from" WHERE "select" = 1
%%pgmonkey
SELECT 1 LIMIT 1;  SELECT 2 OFFSET 0 ; SELECT ';'
%%pgmonkey
SELECT 1; -- first
SELECT 2; /* second; */
SELECT 3 -- third
%%pgmonkey
SELECT 'a;b'; SELECT $$c;d$$; SELECT "e;f" FROM (SELECT 1 AS "e;f") s; SELECT E'g\';h'; SELECT 1 /* ;
; */ ; SELECT 2 -- ;
