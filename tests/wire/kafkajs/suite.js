// The cases of tests/wire/cases.py that kafkajs runs; prints "name<TAB>pass", "name<TAB>fail<TAB>why".
const { Kafka, logLevel, CompressionTypes } = require("kafkajs");
const assert = require("node:assert");
const crypto = require("node:crypto");
const fs = require("node:fs");

const WAIT_MS = 45000;
const FOR_EVER = { "retention.ms": "-1" }; // records of times long past would expire
const [bootstrap, nodes = "1", stage = "", kinds = ""] = process.argv.slice(2);
const kafka = new Kafka({ brokers: bootstrap.split(","), clientId: "suite", logLevel: logLevel.NOTHING, ...security(process.env) });
const admin = kafka.admin();
const bytes = (text) => (text === null ? null : Buffer.from(text));
const numbered = (count, size) =>
  Array.from({ length: count }, (_, n) => ({ key: `k${n}`, value: String(n).padStart(8, "0").repeat(Math.max(1, size >> 3)), partition: 0 }));

// Who the suite is, if anybody, stands in its environment.
function security({ SUITE_USER: username, SUITE_PASSWORD: password, SUITE_MECHANISM: mechanism, SUITE_AUTHORITY: authority }) {
  if (!username) return {};
  return { ssl: { ca: [fs.readFileSync(authority)] }, sasl: { mechanism: mechanism.toLowerCase(), username, password } };
}

async function until(what, probe) {
  const end = Date.now() + WAIT_MS;
  while (!(await probe())) {
    assert(Date.now() < end, `${what}: not in time`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

async function create(topic, numPartitions = 1, configs = {}) {
  const configEntries = Object.entries(configs).map(([name, value]) => ({ name, value }));
  await admin.createTopics({ topics: [{ topic, numPartitions, replicationFactor: 1, configEntries }], waitForLeaders: true, timeout: 30_000 });
}

async function send(topic, messages, options = {}) {
  const { idempotent, ...rest } = options;
  const producer = kafka.producer({ idempotent: Boolean(idempotent), allowAutoTopicCreation: true, retry: { retries: 3 } });
  await producer.connect();
  try {
    return await producer.send({ topic, messages, ...rest });
  } finally {
    await producer.disconnect();
  }
}

// A consumer that reads `count` records from the beginning (or seeks) in a group of its own.
async function read(topic, count, { groupId = `read-${crypto.randomUUID()}`, seek, commit = false, ...options } = {}) {
  const consumer = kafka.consumer({ groupId, ...options });
  const got = [];
  await consumer.connect();
  try {
    await consumer.subscribe({ topics: [topic], fromBeginning: true });
    await consumer.run({
      autoCommit: commit,
      autoCommitThreshold: 1,
      eachMessage: async ({ partition, message }) => void got.push({ partition, ...message }),
    });
    if (seek !== undefined) consumer.seek({ topic, partition: 0, offset: String(seek) });
    await until(`${count} records`, () => (seek === undefined ? got : got.filter((one) => Number(one.offset) >= seek)).length >= count);
    if (commit) await consumer.commitOffsets(last(topic, got));
  } finally {
    await consumer.disconnect();
  }
  return (seek === undefined ? got : got.filter((one) => Number(one.offset) >= seek)).slice(0, count);
}

function last(topic, got) {
  const ends = {};
  for (const one of got) ends[one.partition] = Math.max(ends[one.partition] ?? 0, Number(one.offset) + 1);
  return Object.entries(ends).map(([partition, offset]) => ({ topic, partition: Number(partition), offset: String(offset) }));
}

async function roundTrip(topic, messages, options) {
  await create(topic, 1, FOR_EVER);
  await send(topic, messages, options);
  const got = await read(topic, messages.length);
  messages.forEach((sent, n) => {
    assert.equal(Number(got[n].offset), n);
    assert.deepEqual(got[n].key, bytes(sent.key ?? null));
    assert.deepEqual(got[n].value, bytes(sent.value));
  });
  return got;
}

async function refused(type, call) {
  try {
    await call();
  } catch (error) {
    const inner = error.errors?.[0] ?? error.cause ?? error;
    assert([inner.type, error.type, error.cause?.type].includes(type), `expected ${type}, found ${inner.type ?? inner}`);
    return;
  }
  assert.fail("not refused");
}

async function member(topic) {
  const consumer = kafka.consumer({ groupId: topic, sessionTimeout: 10000, heartbeatInterval: 300, rebalanceTimeout: 10000 });
  const state = { held: [], close: () => consumer.disconnect() };
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => (state.held = payload.memberAssignment[topic] ?? []));
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  await consumer.run({ eachMessage: async () => {} });
  return state;
}

const settled = (partitions, ...members) => () =>
  members.every((one) => one.held.length) &&
  JSON.stringify(members.flatMap((one) => one.held).sort()) === JSON.stringify([...Array(partitions).keys()]);

const cases = {
  produce_uncompressed: (topic) => roundTrip(topic, numbered(200, 100)),
  produce_gzip: (topic) => roundTrip(topic, numbered(200, 100), { compression: CompressionTypes.GZIP }),
  produce_acks_none: (topic) => roundTrip(topic, numbered(50, 100), { acks: 0 }),
  produce_acks_leader: (topic) => roundTrip(topic, numbered(50, 100), { acks: 1 }),
  produce_idempotent: (topic) => roundTrip(topic, numbered(500, 100), { idempotent: true }),
  produce_tombstones: (topic) => roundTrip(topic, [{ key: "k", value: "v" }, { key: "k", value: null }]),
  produce_null_keys: (topic) => roundTrip(topic, [{ value: "1" }, { key: "k", value: "2" }, { value: "3" }]),
  produce_empty_keys_and_values: (topic) => roundTrip(topic, [{ key: "", value: "" }, { key: "", value: null }]),
  produce_headers: async (topic) => {
    const got = await roundTrip(topic, [{ key: "k", value: "v", headers: { a: ["1", "2"], empty: "" } }]);
    assert.deepEqual(got[0].headers.a.map(String), ["1", "2"]);
    assert.equal(String(got[0].headers.empty), "");
  },
  produce_big_message: (topic) => roundTrip(topic, numbered(1, 900000)), // one send is one batch
  produce_too_large: async (topic) => {
    await create(topic, 1, { "max.message.bytes": "1000" });
    await refused("MESSAGE_TOO_LARGE", () => send(topic, numbered(1, 5000)));
  },
  produce_in_order: (topic) => roundTrip(topic, numbered(20000, 16)),
  produce_to_partitions: async (topic) => {
    await create(topic, 5);
    await send(topic, [0, 1, 2, 3, 4].map((partition) => ({ partition, value: `${partition}` })));
    for (const one of await read(topic, 5)) assert.equal(String(one.value), `${one.partition}`);
  },
  produce_create_time: async (topic) => {
    const got = await roundTrip(topic, [{ value: "a", timestamp: "1600000000123" }]);
    assert.equal(got[0].timestamp, "1600000000123");
  },
  produce_log_append_time: async (topic) => {
    await create(topic, 1, { "message.timestamp.type": "LogAppendTime" });
    await send(topic, [{ value: "a", timestamp: "1000000000000" }]);
    assert(Number((await read(topic, 1))[0].timestamp) > 1600000000000);
  },
  consume_many_partitions: async (topic) => {
    await create(topic, 20);
    await send(topic, Array.from({ length: 400 }, (_, n) => ({ partition: n % 20, value: `${n}` })));
    assert.equal(new Set((await read(topic, 400)).map((one) => `${one.partition}-${one.offset}`)).size, 400);
  },
  consume_from_offset: async (topic) => {
    await create(topic);
    await send(topic, numbered(1000, 50));
    assert.equal(Number((await read(topic, 10, { seek: 493 }))[0].offset), 493);
  },
  consume_small_fetches: async (topic) => {
    await create(topic);
    for (let n = 0; n < 3; n++) await send(topic, numbered(100, 400));
    (await read(topic, 300, { maxBytesPerPartition: 1000 })).forEach((one, n) => assert.equal(Number(one.offset), n));
  },
  consume_by_time: async (topic) => {
    await create(topic, 1, FOR_EVER);
    const start = 1700000000000;
    await send(topic, Array.from({ length: 100 }, (_, n) => ({ value: `${n}`, timestamp: String(start + 1000 * n) })));
    assert.equal((await admin.fetchTopicOffsetsByTimestamp(topic, start + 41500))[0].offset, "42");
  },
  consume_watermarks: async (topic) => {
    await create(topic);
    await send(topic, numbered(17, 50));
    const [row] = await admin.fetchTopicOffsets(topic);
    assert.deepEqual([row.low, row.high], ["0", "17"]);
  },
  consume_deleted_records: async (topic) => {
    await create(topic);
    await send(topic, numbered(100, 50));
    const fresh = kafka.admin(); // one that is in use looks for leaders only among the topics it asked for before
    await fresh.connect();
    await fresh.fetchTopicOffsets(topic);
    await fresh.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: "40" }] });
    await fresh.disconnect();
    assert.equal((await admin.fetchTopicOffsets(topic))[0].low, "40");
  },
  group_reads_all: async (topic) => {
    await create(topic, 3);
    await send(topic, Array.from({ length: 90 }, (_, n) => ({ partition: n % 3, value: `${n}` })));
    await read(topic, 90, { groupId: topic, commit: true });
  },
  group_resumes: async (topic) => {
    await create(topic);
    await send(topic, numbered(20, 50));
    await read(topic, 20, { groupId: topic, commit: true });
    await send(topic, numbered(5, 50));
    assert.equal((await read(topic, 5, { groupId: topic, commit: true }))[0].offset, "20");
  },
  group_rebalances: async (topic) => {
    await create(topic, 4);
    const first = await member(topic);
    await until("one holds all", settled(4, first));
    const second = await member(topic);
    await until("two share", settled(4, first, second));
    await second.close();
    await until("one holds all again", settled(4, first));
    await first.close();
  },
  group_commit_without_joining: async (topic) => {
    await create(topic);
    await admin.setOffsets({ groupId: topic, topic, partitions: [{ partition: 0, offset: "12" }] });
    assert.equal((await admin.fetchOffsets({ groupId: topic, topics: [topic] }))[0].partitions[0].offset, "12");
  },
  group_listed_and_described: async (topic) => {
    await create(topic);
    const one = await member(topic);
    await until("holds", settled(1, one));
    assert((await admin.listGroups()).groups.some((group) => group.groupId === topic));
    const [found] = (await admin.describeGroups([topic])).groups;
    assert.deepEqual([found.state, found.members.length], ["Stable", 1]);
    await one.close();
  },
  group_in_use_not_deleted: async (topic) => {
    await create(topic);
    const one = await member(topic);
    await until("holds", settled(1, one));
    await assert.rejects(admin.deleteGroups([topic]), (error) => error.groups[0].error.type === "NON_EMPTY_GROUP");
    await one.close();
    await admin.deleteGroups([topic]);
  },
  admin_create_and_delete: async (topic) => {
    await create(topic, 3);
    await admin.deleteTopics({ topics: [topic] });
    await until("gone", async () => !(await admin.listTopics()).includes(topic));
  },
  admin_create_twice: async (topic) => {
    await create(topic);
    assert.equal(await admin.createTopics({ topics: [{ topic }] }), false);
  },
  admin_bad_name: () => refused("INVALID_TOPIC_EXCEPTION", () => create("not a name!")),
  admin_bad_config: (topic) => refused("INVALID_CONFIG", () => create(topic, 1, { "no.such.config": "1" })),
  admin_delete_unknown: (topic) => refused("UNKNOWN_TOPIC_OR_PARTITION", () => admin.deleteTopics({ topics: [topic] })),
  admin_add_partitions: async (topic) => {
    await create(topic);
    await admin.createPartitions({ topicPartitions: [{ topic, count: 4 }] });
    await until("four", async () => (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions.length === 4);
  },
  admin_topic_configs: async (topic) => {
    await create(topic, 1, { "retention.ms": "3600000" });
    const { resources } = await admin.describeConfigs({ resources: [{ type: 2, name: topic }], includeSynonyms: false });
    assert.equal(resources[0].configEntries.find((one) => one.configName === "retention.ms").configValue, "3600000");
  },
  admin_nodes: async () => assert.equal((await admin.describeCluster()).brokers.length, Number(nodes)),
};

async function runCase(name, run) {
  try {
    await run(`${name.replaceAll("_", "-")}.kafkajs${stage && `.${stage}`}`);
    console.log(`${name}\tpass`);
  } catch (error) {
    console.log(`${name}\tfail\t${String(error).replace(/\s+/g, " ")}`);
  }
}

async function main() {
  await admin.connect();
  const waiting = Object.entries(cases).filter(([name]) => !kinds || kinds.split(",").includes(name.split("_")[0]));
  const worker = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) await runCase(...next);
  };
  await Promise.all(Array.from({ length: 8 }, worker)); // most of a case is waiting, and no two share a topic
  await admin.disconnect();
  process.exit(0);
}

main();
