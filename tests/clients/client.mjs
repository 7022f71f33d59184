// @clickhouse/client against the endpoint: what a service does.

import assert from "node:assert/strict";
import { createClient } from "@clickhouse/client";

const options = {
  url: process.env.CLICKHOUSE_URL,
  username: "default",
  password: process.env.CLICKHOUSE_PASSWORD,
  database: process.env.CLICKHOUSE_DATABASE,
};
const client = createClient(options);
assert.equal((await client.ping()).success, true);

await client.command({ query: "CREATE TABLE t (i UInt64, s String, a Array(UInt8)) ENGINE = MergeTree ORDER BY i" });
const rows = Array.from({ length: 10000 }, (_, i) => ({ i: String(i), s: "a\n\nb;", a: [1, 2] }));
const inserted = await client.insert({ table: "t", values: rows, format: "JSONEachRow", query_id: "node-insert" });
assert.equal(inserted.query_id, "node-insert");
assert.equal(inserted.summary.written_rows, "10000");

const text = async (query, more = {}) => (await client.query({ query, format: "JSONEachRow", ...more })).json();
assert.deepEqual((await text("SELECT i, s, a FROM t ORDER BY i LIMIT 1"))[0].a, [1, 2]);
assert.deepEqual(await text("SELECT {x: String} AS x, {n: UInt8} AS n", { query_params: { x: "it's \\ \n", n: 7 } }), [{ x: "it's \\ \n", n: 7 }]);
assert.deepEqual(await text("SELECT toUInt8(getSetting('max_threads')) AS n", { clickhouse_settings: { max_threads: 3 } }), [{ n: 3 }]);
const document = await (await client.query({ query: "SELECT count() AS n FROM t", format: "JSON" })).json();
assert.equal(document.rows, 1);

let streamed = 0;
for await (const chunk of (await client.query({ query: "SELECT number FROM numbers(300000)", format: "JSONCompactEachRow" })).stream()) {
  streamed += chunk.length;
}
assert.equal(streamed, 300000);

const packed = createClient({ ...options, compression: { request: true, response: true } });
await packed.insert({ table: "t", values: rows, format: "JSONEachRow" });
assert.equal(Number((await (await packed.query({ query: "SELECT count() AS n FROM t", format: "JSONEachRow" })).json())[0].n), 20000);
await packed.close();

await assert.rejects(client.query({ query: "SELECT * FROM nowhere" }), (error) => error.code === "60" && error.type === "UNKNOWN_TABLE");
await assert.rejects(createClient({ ...options, password: "wrong" }).query({ query: "SELECT 1" }), (error) => error.code === "516");

const session = createClient({ ...options, session_id: "node-session" });
await session.command({ query: "CREATE TEMPORARY TABLE tmp (i UInt8)" });
await session.insert({ table: "tmp", values: [[1], [2]], format: "JSONCompactEachRow" });
assert.deepEqual(await (await session.query({ query: "SELECT toUInt8(sum(i)) AS s FROM tmp", format: "JSONEachRow" })).json(), [{ s: 3 }]);
await session.close();

const controller = new AbortController();
const long = client.query({ query: "SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 1", abort_signal: controller.signal });
setTimeout(() => controller.abort(), 300);
await assert.rejects(long);

await client.close();
console.log("all is well");
