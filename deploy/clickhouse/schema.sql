-- Tables for the JSON lines of nattrace from many hosts; docs/fleet.md says how to use them. Tested with ClickHouse
-- 26.9.
--
--   lines  -->  verdicts              one row for each connection and host, its last verdict
--          -->  steps --> passages    what happened to it; its SYN and its answers as they came and left
--          -->  losses, runs          what was not seen; where nattrace started and stopped
--          -->  unread                whatever is none of these: nothing that was sent is thrown away unseen
--
-- Lines are sent as they are, one a row:
--
--   INSERT INTO nattrace.lines (line) FORMAT LineAsString
--
-- Which host a line is from: `host` of the INSERT, where whoever sends says so; else `host.name` of the line, which
-- nattrace itself writes on its start line only, and shippers on each. All that is sent may be sent again: rows that
-- come twice become one (ReplacingMergeTree), so the queries read FINAL.

CREATE DATABASE IF NOT EXISTS nattrace;

-- An end of a connection as text: 192.0.2.1:80, [2001:db8::1]:80.
CREATE OR REPLACE FUNCTION nattrace_endpoint AS (ip, port) -> concat(
    if(startsWith(toString(ip), '::ffff:'), substring(toString(ip), 8), concat('[', toString(ip), ']')), ':',
    toString(port));

-- The same for a part that may be unknown, which is stored as :: and 0.
CREATE OR REPLACE FUNCTION nattrace_known_endpoint AS (ip, port) ->
    if(port = 0, '', nattrace_endpoint(ip, port));

-- Keeps nothing: what is inserted goes to the views below. It takes text and not typed columns, so that a field that
-- is new or of another type than expected costs that field, and never refuses the lines around it.
CREATE TABLE IF NOT EXISTS nattrace.lines
(
    `host` String DEFAULT JSONExtractString(line, 'host', 'name'),
    `line` String,
    `dataset` LowCardinality(String) MATERIALIZED JSONExtractString(line, 'event', 'dataset'),
    `seen` DateTime64(9, 'UTC') MATERIALIZED
        parseDateTime64BestEffortOrZero(JSONExtractString(line, '@timestamp'), 9, 'UTC'),
    -- The first step of a verdict's connection: what puts a verdict and its revision into one partition.
    `started` DateTime64(9, 'UTC') MATERIALIZED
        parseDateTime64BestEffortOrZero(JSONExtractString(line, 'event', 'start'), 9, 'UTC'),
    `readable` Bool MATERIALIZED isValidJSON(line) AND toUnixTimestamp64Nano(seen) != 0 AND (
        dataset IN ('nattrace.start', 'nattrace.step', 'nattrace.loss', 'nattrace.stop')
        OR dataset = 'nattrace.verdict' AND toUnixTimestamp64Nano(started) != 0)
)
ENGINE = Null;

-- Both families in one type: an IPv4 address is ::ffff:192.0.2.1. So one query, one join and one index serve both,
-- and twelve bytes that are always the same are nothing once compressed.
-- 16 hex digits are a number; `connection_id` shows them as the lines have them.
--
-- The index by time is needed although rows lie by the hour: from a condition on `started` ClickHouse does not conclude
-- one on its hour.
CREATE TABLE IF NOT EXISTS nattrace.verdicts
(
    `host` LowCardinality(String),
    `connection` UInt64,
    `started` DateTime64(9, 'UTC') CODEC(Delta, ZSTD),
    `seen` DateTime64(9, 'UTC') CODEC(Delta, ZSTD),
    `duration_ns` UInt64 CODEC(T64, ZSTD),
    `outcome` LowCardinality(String),
    `verdict` LowCardinality(String),
    `revised` Bool,
    `reason` String CODEC(ZSTD(3)),
    `client_ip` IPv6 CODEC(ZSTD),
    `client_port` UInt16,
    `dialled_ip` IPv6 CODEC(ZSTD),
    `dialled_port` UInt16,
    -- As translated; as dialled where nothing was translated.
    `client_nat_ip` IPv6 CODEC(ZSTD),
    `client_nat_port` UInt16,
    `reached_ip` IPv6 CODEC(ZSTD),
    `reached_port` UInt16,
    `in_interface` LowCardinality(String),
    `out_interface` LowCardinality(String),
    `stage` LowCardinality(String),
    `function` LowCardinality(String),
    `kernel_reason` LowCardinality(String),
    `netns_inode` UInt64,
    `netns_name` LowCardinality(String),
    `rule_id` LowCardinality(String),
    `ruleset` LowCardinality(String),
    `rule` String CODEC(ZSTD(3)),
    `process` LowCardinality(String),
    `process_pid` UInt32,
    `container_id` String CODEC(ZSTD),
    `service` LowCardinality(String),
    -- The checklist; '' where the evidence does not say.
    `syn_arrived` LowCardinality(String),
    `answer` LowCardinality(String),
    `conntrack` LowCardinality(String),
    `listener_matches` LowCardinality(String),
    `evidence` String CODEC(ZSTD(3)),
    `advice` Array(String) CODEC(ZSTD(3)),

    `connection_id` String ALIAS lower(leftPad(hex(connection), 16, '0')),
    `client` String ALIAS nattrace_endpoint(client_ip, client_port),
    `dialled` String ALIAS nattrace_endpoint(dialled_ip, dialled_port),
    `reached` String ALIAS nattrace_endpoint(reached_ip, reached_port),

    INDEX time started TYPE minmax GRANULARITY 1,
    INDEX one connection TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplacingMergeTree(seen)
PARTITION BY toDate(started)
ORDER BY (toStartOfHour(started), host, connection, started)
TTL toDateTime(started) + INTERVAL 90 DAY
SETTINGS ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS nattrace.steps
(
    `host` LowCardinality(String),
    `connection` UInt64,
    `sequence` UInt32 CODEC(Delta, ZSTD),
    `seen` DateTime64(9, 'UTC') CODEC(Delta, ZSTD),
    `action` LowCardinality(String),
    `stage` LowCardinality(String),
    `function` LowCardinality(String),
    `backend` LowCardinality(String),
    `netns_inode` UInt64,
    `netns_name` LowCardinality(String),
    `cpu` Nullable(UInt16),
    -- The packet as it was at that point; :: and port 0 where the step has none.
    `source_ip` IPv6 CODEC(ZSTD),
    `source_port` UInt16,
    `destination_ip` IPv6 CODEC(ZSTD),
    `destination_port` UInt16,
    `flags` LowCardinality(String),
    `seq` UInt32,
    `ack` UInt32,
    -- The client's initial sequence number, as far as this packet tells it. Addresses change on the way, it does not.
    `isn` Nullable(UInt32),
    `from_client` Bool,
    `kernel_reason` LowCardinality(String),
    `rule_id` LowCardinality(String),
    `ruleset` LowCardinality(String),
    `rule` String CODEC(ZSTD(3)),
    `process` LowCardinality(String),
    `process_pid` UInt32,
    -- Objects of the step that have no column (conntrack, translation, listener, rule, icmp), as JSON, by name.
    `details` Map(LowCardinality(String), String) CODEC(ZSTD(3)),

    `connection_id` String ALIAS lower(leftPad(hex(connection), 16, '0')),
    `source` String ALIAS nattrace_known_endpoint(source_ip, source_port),
    `destination` String ALIAS nattrace_known_endpoint(destination_ip, destination_port),

    INDEX time seen TYPE minmax GRANULARITY 1,
    INDEX one connection TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplacingMergeTree
PARTITION BY toDate(seen)
ORDER BY (toStartOfHour(seen), host, connection, sequence, seen)
TTL toDateTime(seen) + INTERVAL 14 DAY
SETTINGS ttl_only_drop_parts = 1;

-- The SYN and its answers where they came into a host or a namespace of it, or left one. Written from client to
-- server, so that the SYN and its answer have the same ends here. By time and initial sequence number: what one host
-- sent is found at the next one, and all handshakes of ten minutes lie together for the clocks.
CREATE TABLE IF NOT EXISTS nattrace.passages
(
    `isn` UInt32,
    `seen` DateTime64(9, 'UTC') CODEC(Delta, ZSTD),
    `host` LowCardinality(String),
    `connection` UInt64,
    `packet` Enum8('syn' = 1, 'synack' = 2, 'rst' = 3),
    `way` Enum8('in' = 1, 'out' = 2),
    `client_ip` IPv6 CODEC(ZSTD),
    `client_port` UInt16,
    `server_ip` IPv6 CODEC(ZSTD),
    `server_port` UInt16,

    INDEX time seen TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree
PARTITION BY toDate(seen)
ORDER BY (toStartOfInterval(seen, INTERVAL 10 MINUTE), isn, host, connection, seen, packet, way)
TTL toDateTime(seen) + INTERVAL 14 DAY
SETTINGS ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS nattrace.losses
(
    `host` LowCardinality(String),
    `seen` DateTime64(9, 'UTC') CODEC(Delta, ZSTD),
    `since` DateTime64(9, 'UTC') CODEC(Delta, ZSTD),
    `events` UInt64 CODEC(T64, ZSTD),
    `total` UInt64 CODEC(T64, ZSTD),
    `reason` LowCardinality(String),
    `scope` LowCardinality(String)
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(seen)
ORDER BY (toStartOfDay(seen), host, seen, reason)
TTL toDateTime(seen) + INTERVAL 400 DAY
SETTINGS ttl_only_drop_parts = 1;

-- Start lines and stop lines.
CREATE TABLE IF NOT EXISTS nattrace.runs
(
    `host` LowCardinality(String),
    `seen` DateTime64(9, 'UTC') CODEC(Delta, ZSTD),
    `what` Enum8('start' = 1, 'stop' = 2),
    `version` LowCardinality(String),
    `kernel` LowCardinality(String),
    `filter` String CODEC(ZSTD),
    `backend` Map(LowCardinality(String), LowCardinality(String)),
    `missing` Array(Tuple(hook String, loss String)) CODEC(ZSTD),
    `verdicts` Map(LowCardinality(String), UInt64),
    `events` UInt64,
    -- Unknown where the run ended before all were read.
    `observations` Nullable(UInt64),
    `lost_observations` UInt64,
    `lost_total` UInt64,

    -- Its verdicts are not all that happened: successes, or all but some codes, were not asked for.
    `chosen_verdicts` Bool ALIAS match(filter, '(^|\\s)--(failed|verdict)(\\s|$)')
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(seen)
ORDER BY (host, seen, what)
TTL toDateTime(seen) + INTERVAL 400 DAY
SETTINGS ttl_only_drop_parts = 1;

-- What is no line of nattrace that this schema knows: cut off by a full disk, of a later version, or of another
-- program. It should be empty.
CREATE TABLE IF NOT EXISTS nattrace.unread
(
    `host` LowCardinality(String),
    `received` DateTime64(3, 'UTC') DEFAULT now64(3),
    `line` String CODEC(ZSTD(3))
)
ENGINE = MergeTree
PARTITION BY toDate(received)
ORDER BY (host, received)
TTL toDateTime(received) + INTERVAL 14 DAY
SETTINGS ttl_only_drop_parts = 1;

-- From here on: how a line becomes a row. Each view reads a line once, into one tuple of what it wants of it; what is
-- absent or of another type becomes the type's empty value, what the tuple does not name is passed over.

CREATE MATERIALIZED VIEW IF NOT EXISTS nattrace.lines_to_verdicts TO nattrace.verdicts AS
WITH JSONExtract(line, $$Tuple(
    event Tuple(outcome String, duration UInt64, reason String),
    source Tuple(ip String, port UInt16, nat Tuple(ip String, port UInt16)),
    destination Tuple(ip String, port UInt16, nat Tuple(ip String, port UInt16)),
    observer Tuple(ingress Tuple(interface Tuple(name String)), egress Tuple(interface Tuple(name String))),
    rule Tuple(id String, ruleset String, name String),
    process Tuple(pid UInt32, name String),
    container Tuple(id String),
    service Tuple(name String),
    nattrace Tuple(connection String, verdict String, revised Bool, stage String, function String, reason String,
        netns Tuple(inode UInt64, name String), advice Array(String),
        checklist Tuple(answer String, conntrack String))
    )$$) AS l
SELECT
    host,
    reinterpretAsUInt64(reverse(unhex(l.nattrace.connection))) AS connection,
    started,
    seen,
    l.event.duration AS duration_ns,
    l.event.outcome AS outcome,
    l.nattrace.verdict AS verdict,
    l.nattrace.revised AS revised,
    l.event.reason AS reason,
    toIPv6OrDefault(l.source.ip) AS client_ip,
    l.source.port AS client_port,
    toIPv6OrDefault(l.destination.ip) AS dialled_ip,
    l.destination.port AS dialled_port,
    if(l.source.nat.ip != '', toIPv6OrDefault(l.source.nat.ip), client_ip) AS client_nat_ip,
    if(l.source.nat.port != 0, l.source.nat.port, client_port) AS client_nat_port,
    if(l.destination.nat.ip != '', toIPv6OrDefault(l.destination.nat.ip), dialled_ip) AS reached_ip,
    if(l.destination.nat.port != 0, l.destination.nat.port, dialled_port) AS reached_port,
    l.observer.ingress.interface.name AS in_interface,
    l.observer.egress.interface.name AS out_interface,
    l.nattrace.stage AS stage,
    l.nattrace.function AS function,
    l.nattrace.reason AS kernel_reason,
    l.nattrace.netns.inode AS netns_inode,
    l.nattrace.netns.name AS netns_name,
    l.rule.id AS rule_id,
    l.rule.ruleset AS ruleset,
    l.rule.name AS rule,
    l.process.name AS process,
    l.process.pid AS process_pid,
    l.container.id AS container_id,
    l.service.name AS service,
    JSONExtractRaw(line, 'nattrace', 'checklist', 'syn_arrived') AS syn_arrived,
    l.nattrace.checklist.answer AS answer,
    l.nattrace.checklist.conntrack AS conntrack,
    JSONExtractRaw(line, 'nattrace', 'checklist', 'listener_matches') AS listener_matches,
    JSONExtractRaw(line, 'nattrace', 'evidence') AS evidence,
    l.nattrace.advice AS advice
FROM nattrace.lines
WHERE readable AND dataset = 'nattrace.verdict';

CREATE MATERIALIZED VIEW IF NOT EXISTS nattrace.lines_to_steps TO nattrace.steps AS
WITH
    JSONExtract(line, $$Tuple(
        event Tuple(action String, sequence UInt32),
        source Tuple(ip String, port UInt16, nat Tuple(ip String, port UInt16)),
        rule Tuple(id String, ruleset String, name String),
        process Tuple(pid UInt32, name String),
        nattrace Tuple(connection String, stage String, function String, backend String, cpu Nullable(UInt16),
            netns Tuple(inode UInt64, name String), reason String,
            packet Tuple(source Tuple(ip String, port UInt16), destination Tuple(ip String, port UInt16),
                flags String, seq UInt32, ack UInt32))
        )$$) AS l,
    toIPv6OrDefault(l.source.ip) AS client_ip,
    if(l.source.nat.ip != '', toIPv6OrDefault(l.source.nat.ip), client_ip) AS client_nat_ip,
    if(l.source.nat.port != 0, l.source.nat.port, l.source.port) AS client_nat_port
SELECT
    host,
    reinterpretAsUInt64(reverse(unhex(l.nattrace.connection))) AS connection,
    l.event.sequence AS sequence,
    seen,
    l.event.action AS action,
    l.nattrace.stage AS stage,
    l.nattrace.function AS function,
    l.nattrace.backend AS backend,
    l.nattrace.netns.inode AS netns_inode,
    l.nattrace.netns.name AS netns_name,
    l.nattrace.cpu AS cpu,
    toIPv6OrDefault(l.nattrace.packet.source.ip) AS source_ip,
    l.nattrace.packet.source.port AS source_port,
    toIPv6OrDefault(l.nattrace.packet.destination.ip) AS destination_ip,
    l.nattrace.packet.destination.port AS destination_port,
    l.nattrace.packet.flags AS flags,
    l.nattrace.packet.seq AS seq,
    l.nattrace.packet.ack AS ack,
    -- RFC 9293: the SYN's own number; what acknowledges it has one more, and so has what the client sends next.
    multiIf(
        flags = '', NULL,
        flags = 'SYN', seq,
        NOT from_client AND position(flags, 'ACK') > 0, toUInt32(ack - 1),
        from_client, toUInt32(seq - 1),
        NULL) AS isn,
    (source_ip = client_ip AND source_port = l.source.port)
        OR (source_ip = client_nat_ip AND source_port = client_nat_port) AS from_client,
    l.nattrace.reason AS kernel_reason,
    l.rule.id AS rule_id,
    l.rule.ruleset AS ruleset,
    l.rule.name AS rule,
    l.process.name AS process,
    l.process.pid AS process_pid,
    mapFilter((name, object) -> object != '', map(
        'conntrack', JSONExtractRaw(line, 'nattrace', 'conntrack'),
        'translation', JSONExtractRaw(line, 'nattrace', 'translation'),
        'listener', JSONExtractRaw(line, 'nattrace', 'listener'),
        'rule', JSONExtractRaw(line, 'nattrace', 'rule'),
        'icmp', JSONExtractRaw(line, 'nattrace', 'icmp'))) AS details
FROM nattrace.lines
WHERE readable AND dataset = 'nattrace.step';

-- Only what was seen: a concluded step has the time of the step that it was concluded from.
CREATE MATERIALIZED VIEW IF NOT EXISTS nattrace.steps_to_passages TO nattrace.passages AS
SELECT
    assumeNotNull(isn) AS isn,
    seen,
    host,
    connection,
    action AS packet,
    if(stage = 'ingress', 'in', 'out') AS way,
    if(from_client, source_ip, destination_ip) AS client_ip,
    if(from_client, source_port, destination_port) AS client_port,
    if(from_client, destination_ip, source_ip) AS server_ip,
    if(from_client, destination_port, source_port) AS server_port
FROM nattrace.steps
WHERE stage IN ('ingress', 'egress') AND backend != 'inferred' AND steps.isn IS NOT NULL
    AND (action = 'syn' AND from_client OR action IN ('synack', 'rst') AND NOT from_client);

CREATE MATERIALIZED VIEW IF NOT EXISTS nattrace.lines_to_losses TO nattrace.losses AS
WITH JSONExtract(line, 'Tuple(nattrace Tuple(lost Tuple(events UInt64, since String, total UInt64, reason String,
    scope String)))').nattrace.lost AS lost
SELECT
    host,
    seen,
    parseDateTime64BestEffortOrZero(lost.since, 9, 'UTC') AS since,
    lost.events AS events,
    lost.total AS total,
    lost.reason AS reason,
    lost.scope AS scope
FROM nattrace.lines
WHERE readable AND dataset = 'nattrace.loss';

CREATE MATERIALIZED VIEW IF NOT EXISTS nattrace.lines_to_runs TO nattrace.runs AS
WITH JSONExtract(line, $$Tuple(
    host Tuple(os Tuple(kernel String)),
    nattrace Tuple(version String, filter String, backend Map(String, String),
        missing Array(Tuple(hook String, loss String)), verdicts Map(String, UInt64), events UInt64,
        observations Nullable(UInt64), lost Tuple(observations UInt64, total UInt64))
    )$$) AS l
SELECT
    host,
    seen,
    if(dataset = 'nattrace.start', 'start', 'stop') AS what,
    l.nattrace.version AS version,
    l.host.os.kernel AS kernel,
    l.nattrace.filter AS filter,
    l.nattrace.backend AS backend,
    l.nattrace.missing AS missing,
    l.nattrace.verdicts AS verdicts,
    l.nattrace.events AS events,
    l.nattrace.observations AS observations,
    l.nattrace.lost.observations AS lost_observations,
    l.nattrace.lost.total AS lost_total
FROM nattrace.lines
WHERE readable AND dataset IN ('nattrace.start', 'nattrace.stop');

CREATE MATERIALIZED VIEW IF NOT EXISTS nattrace.lines_to_unread TO nattrace.unread AS
SELECT host, line
FROM nattrace.lines
WHERE NOT readable AND line != '';
