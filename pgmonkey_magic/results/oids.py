"""OIDs of the types that are taken in binary; they are fixed for built-in types (source: PostgreSQL's pg_type.dat)."""

TEXTS = frozenset({19, 25, 1042, 1043})
"""name, text, char(n), varchar: their binary form is the text."""
JSONB, TIME, TIMETZ = 3802, 1083, 1266
BINARY = TEXTS | {
    *(16, 20, 21, 23, 26, 700, 701, 1700),  # boolean, bigint, smallint, integer, oid, real, double precision, numeric
    *(1082, TIME, 1114, 1184, 1186, TIMETZ),  # date, time, timestamp, timestamptz, interval, timetz
    *(17, 114, 650, 869, 2950, JSONB),  # bytea, json, cidr, inet, uuid, jsonb
}
"""What any other type is, the server says as text: what psycopg would make of its binary form is not always what it
makes of its text, and for most types it has nothing but the text."""
