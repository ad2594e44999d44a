-- What happened to one connection on all machines that it passed?
--
-- From a verdict on one host: its whole way, step by step, on that host's clock, with the verdict of each host. The
-- initial sequence number ties it together, since addresses may have changed on the way; it is 32 bits, so a host
-- belongs to it only if the packet came there with the addresses that it had when it left another (`joined` is
-- `tuple`). Where a device in between translates that no nattrace observes, hosts with the same number are shown as
-- well, as `number only`: most likely the same connection, times as their clocks told them.
--
-- `clock_ms` is how far a host's clock is ahead of that of the named host, right within `within_ms`, from the
-- handshakes of the minutes around it as in clock_offsets.sql; `at_ms` is corrected by it. Without a handshake that
-- was answered between two hosts nothing is known of their clocks: both are empty, and times are as the clocks told
-- them.
--
-- host, connection: as on the verdict. minutes: how far around it to look, 5 for instance. More than the clocks are
-- apart.
WITH RECURSIVE
    reinterpretAsUInt64(reverse(unhex({connection:String}))) AS this_connection,
    (
        SELECT min(started) FROM nattrace.verdicts WHERE host = {host:String} AND connection = this_connection
    ) AS began,
    began - toIntervalMinute({minutes:UInt32}) AS earliest,
    began + toIntervalMinute({minutes:UInt32}) AS latest,
    (
        SELECT argMin(isn, sequence) FROM nattrace.steps
        WHERE host = {host:String} AND connection = this_connection AND isn IS NOT NULL
            AND seen BETWEEN earliest AND latest
    ) AS this_isn,
    -- Each host's part of it, once for each way that the addresses had there. What is in parentheses from here on is
    -- asked once and kept, while a named subquery would be asked again wherever it stands.
    (
        SELECT groupArray((host, connection, ends, syn_left, syn_arrived))
        FROM (
            SELECT
                toString(host) AS host, connection, (client_ip, client_port, server_ip, server_port) AS ends,
                countIf(packet = 'syn' AND way = 'out') > 0 AS syn_left,
                countIf(packet = 'syn' AND way = 'in') > 0 AS syn_arrived
            FROM nattrace.passages
            WHERE isn = assumeNotNull(this_isn) AND seen BETWEEN earliest AND latest
            GROUP BY host, connection, ends
        )
    ) AS part_list,
    parts AS (
        SELECT part.1 AS host, part.2 AS connection, part.3 AS ends, part.4 AS syn_left, part.5 AS syn_arrived
        FROM (SELECT arrayJoin(part_list) AS part)
    ),
    -- For the clocks: all handshakes of these hosts. See clock_offsets.sql for what is done with them.
    sides AS (
        SELECT
            isn, client_ip, client_port, server_ip, server_port, host, connection,
            minMap(map(concat(packet, ' ', way), toUnixTimestamp64Nano(seen))) AS first,
            maxMap(map(concat(packet, ' ', way), toUnixTimestamp64Nano(seen))) AS last
        FROM nattrace.passages
        WHERE seen BETWEEN earliest AND latest AND host IN (SELECT host FROM parts)
        GROUP BY isn, client_ip, client_port, server_ip, server_port, host, connection
    ),
    samples AS (
        SELECT
            a.host AS a_host,
            b.host AS b_host,
            if(mapContains(a.first, 'synack in') AND mapContains(b.first, 'synack out'), 'synack', 'rst') AS answer,
            a.last['syn out'] AS left,
            b.first['syn in'] AS arrived,
            b.last[concat(answer, ' out')] AS answer_left,
            a.first[concat(answer, ' in')] AS answer_arrived,
            arrived - left AS at_most,
            answer_left - answer_arrived AS at_least
        FROM sides AS a
        INNER JOIN sides AS b USING (isn, client_ip, client_port, server_ip, server_port)
        WHERE a.host != b.host AND mapContains(a.first, 'syn out') AND mapContains(b.first, 'syn in')
            AND mapContains(a.first, concat(answer, ' in')) AND mapContains(b.first, concat(answer, ' out'))
            AND left - a.first['syn out'] < 200000000 AND b.last['syn in'] - arrived < 200000000
            AND answer_left - b.first[concat(answer, ' out')] < 200000000
            AND a.last[concat(answer, ' in')] - answer_arrived < 200000000
            AND at_least <= at_most
    ),
    -- Both ways round: how far b's clock is ahead of a's, in nanoseconds.
    clocks AS (
        SELECT
            a_host, b_host,
            (max(lower) + min(upper)) / 2 AS ahead,
            abs(min(upper) - max(lower)) / 2 AS bound
        FROM (
            SELECT a_host, b_host, at_least AS lower, at_most AS upper FROM samples
            UNION ALL
            SELECT b_host, a_host, -at_most, -at_least FROM samples
        )
        GROUP BY a_host, b_host
    ),
    -- From one host's part to another's, and back: a SYN that arrived as it had left.
    links AS (
        SELECT DISTINCT
            x.host AS a_host, x.connection AS a_connection, y.host AS b_host, y.connection AS b_connection
        FROM parts AS x
        INNER JOIN parts AS y USING (ends)
        WHERE x.host != y.host AND (x.syn_left AND y.syn_arrived OR y.syn_left AND x.syn_arrived)
    ),
    (
        SELECT groupArray((links.a_host, links.a_connection, links.b_host, links.b_connection,
            if(clocks.a_host = '', NULL, clocks.ahead), if(clocks.a_host = '', NULL, clocks.bound)))
        FROM links
        LEFT JOIN clocks ON clocks.a_host = links.a_host AND clocks.b_host = links.b_host
    ) AS link_list,
    -- From the named host on, link by link. There are few hosts, so all ways are gone; the surest one counts.
    reached AS (
        SELECT
            {host:String} AS host, this_connection AS connection,
            [{host:String}] AS hosts, toNullable(0.) AS ahead, toNullable(0.) AS bound
        UNION ALL
        SELECT l.link.3, l.link.4, arrayPushBack(r.hosts, l.link.3), r.ahead + l.link.5, r.bound + l.link.6
        FROM reached AS r
        CROSS JOIN (SELECT arrayJoin(link_list) AS link) AS l
        WHERE l.link.1 = r.host AND l.link.2 = r.connection AND NOT has(r.hosts, l.link.3) AND length(r.hosts) < 8
    ),
    (
        SELECT groupArray((host, connection, way.1, way.2))
        FROM (
            -- NULLs last: a way with a clock that is not known is the least sure.
            SELECT host, connection, arraySort(groupArray((bound IS NULL, bound, length(hosts), ahead)))[1] AS best,
                (best.4, best.2) AS way
            FROM reached
            GROUP BY host, connection
        )
    ) AS reached_list,
    members AS (
        SELECT
            member.1 AS host, member.2 AS connection, member.3 AS ahead, member.4 AS bound,
            if(host = {host:String} AND connection = this_connection, 'here', 'tuple') AS joined
        FROM (SELECT arrayJoin(reached_list) AS member)
        UNION ALL
        SELECT DISTINCT host, connection, NULL, NULL, 'number only'
        FROM parts
        WHERE NOT has(arrayMap(member -> (member.1, member.2), reached_list), (host, connection))
    ),
    told AS (
        SELECT
            toString(host) AS host, connection, seen, 0 AS is_verdict, sequence, netns_name, toString(stage) AS stage,
            toString(action) AS what,
            if(flags = '', '', concat(flags, ' ', source, ' -> ', destination)) AS packet,
            multiIf(rule != '', concat('rule ', ruleset, ': ', rule), kernel_reason != '', toString(kernel_reason),
                process != '', toString(process), '') AS detail,
            toString(function) AS function
        FROM nattrace.steps FINAL
        WHERE seen BETWEEN earliest AND latest AND (host, connection) IN (SELECT host, connection FROM members)
        UNION ALL
        -- A verdict has the time of the last step: when it was given only says how long was waited for more.
        SELECT
            toString(host), connection, started + toIntervalNanosecond(duration_ns), 1, 0, netns_name, toString(stage),
            concat(if(outcome = 'success', '', outcome || ': '), verdict), concat(client, ' -> ', dialled,
                if(reached = dialled, '', concat(' => ', reached))), reason, toString(function)
        FROM nattrace.verdicts FINAL
        WHERE started BETWEEN earliest AND latest AND (host, connection) IN (SELECT host, connection FROM members)
    )
SELECT
    round((toUnixTimestamp64Nano(told.seen) - toUnixTimestamp64Nano(assumeNotNull(began))
        - toInt64(ifNull(members.ahead, 0))) / 1e6, 6) AS at_ms,
    told.host AS host,
    members.joined AS joined,
    round(members.ahead / 1e6, 6) AS clock_ms,
    round(members.bound / 1e6, 6) AS within_ms,
    told.netns_name AS netns,
    told.stage AS stage,
    told.what AS what,
    told.packet AS packet,
    told.detail AS detail,
    told.function AS function
FROM told
INNER JOIN members ON members.host = told.host AND members.connection = told.connection
ORDER BY joined = 'number only', at_ms, host, is_verdict, sequence
