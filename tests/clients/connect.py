"""clickhouse-connect against the endpoint: what an analyst's notebook does."""

import datetime
import decimal
import os
import uuid
from urllib.parse import urlparse

import clickhouse_connect
from clickhouse_connect.driver.exceptions import DatabaseError

url = urlparse(os.environ["CLICKHOUSE_URL"])


def connect(**options):
    return clickhouse_connect.get_client(
        host=url.hostname,
        port=url.port,
        username="default",
        password=os.environ["CLICKHOUSE_PASSWORD"],
        database=os.environ["CLICKHOUSE_DATABASE"],
        **options,
    )


client = connect()
assert client.ping()
assert client.command("SELECT 1 + 1") == 2
assert client.server_version.startswith("26.")

client.command(
    """CREATE TABLE t (
        i UInt64, f Float64, s String, b Bool, d Date, t DateTime('UTC'), t3 DateTime64(3, 'UTC'), u UUID, n Nullable(Int32),
        l LowCardinality(String), a Array(String), m Map(String, UInt8), p Tuple(UInt8, String), e Enum8('x' = 1, 'y' = 2), c Decimal(18, 4)
    ) ENGINE = MergeTree ORDER BY i"""
)
moment = datetime.datetime(2026, 5, 16, 18, 59, 59, tzinfo=datetime.timezone.utc)
row = [
    2570, 0.5, "a\n\nb", True, datetime.date(2026, 5, 16), moment, moment.replace(microsecond=999000), uuid.UUID(int=7), None,
    "low", ["x", ""], {"k": 1}, (1, "t"), "y", decimal.Decimal("1.2345"),
]
client.insert("t", [row, [1, *row[1:]]])
back = client.query("SELECT * FROM t ORDER BY i DESC").result_rows[0]
for sent, got in zip(row, back):
    if isinstance(sent, datetime.datetime):
        sent = sent.replace(tzinfo=None)
        got = got.replace(tzinfo=None)
    assert sent == got, (sent, got)

assert client.query("SELECT {x:String} AS x, {n:Array(UInt8)} AS n", parameters={"x": "it's", "n": [1, 2]}).first_row == ("it's", [1, 2])
assert client.query("SELECT getSetting('max_threads')", settings={"max_threads": 3}).first_row == (3,)
assert client.raw_query("SELECT 1 AS a FORMAT CSVWithNames") == b'"a"\n1\n'
client.raw_insert("t", ["i", "s"], b"3,raw\n", fmt="CSV")
assert client.query("SELECT s FROM t WHERE i = 3").first_row == ("raw",)

for compression in ["lz4", "zstd", "gzip", "br", False]:
    try:
        packed = connect(compress=compression)
    except Exception as refused:  # the client lacks the package for this one
        assert compression == "br", refused
        continue
    assert len(packed.query("SELECT number, repeat('x', 100) FROM numbers(50000)").result_rows) == 50000
    packed.insert("t", [[10, 0.0, "x" * 1000, *row[3:]]] * 1000)

try:
    client.query("SELECT * FROM nowhere")
    raise SystemExit("an unknown table is an error")
except DatabaseError as error:
    assert "UNKNOWN_TABLE" in str(error), error

session = connect(session_id="connect-session")
session.command("CREATE TEMPORARY TABLE tmp (i UInt8)")
session.insert("tmp", [[1], [2]])
assert session.query("SELECT sum(i) FROM tmp").first_row == (3,)

with client.query_row_block_stream("SELECT number FROM numbers(500000)") as stream:
    assert sum(len(block) for block in stream) == 500000

print("all is well")
