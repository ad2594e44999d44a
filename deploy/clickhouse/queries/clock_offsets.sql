-- How far are the clocks of two hosts apart?
--
-- As NTP does it (RFC 5905, section 8), with the handshakes that passed both: the SYN left one and came to the other,
-- its answer (SYN-ACK or reset) left there and came back. No packet arrives before it was sent, so each SYN says how
-- far the second clock can be ahead at most, and each answer how far at least. `ahead_ms` is the middle of what all
-- of them leave, `within_ms` half of its width: it is right within that, whatever the way took in each direction.
-- Below 0 the second host is behind.
--
-- Handshakes with a packet that was sent again are left out: which of two arrived is not known. If the handshakes
-- contradict each other (`clocks_moved`), one clock was set or ran off meanwhile: take a shorter time.
--
-- from, to: when the handshakes were.
WITH
    -- A host's part of a handshake, by the addresses that it had there: first and last time of each packet, in or out.
    sides AS (
        SELECT
            isn, client_ip, client_port, server_ip, server_port, host, connection,
            minMap(map(concat(packet, ' ', way), toUnixTimestamp64Nano(seen))) AS first,
            maxMap(map(concat(packet, ' ', way), toUnixTimestamp64Nano(seen))) AS last
        FROM nattrace.passages
        WHERE seen >= {from:DateTime64(9, 'UTC')} AND seen < {to:DateTime64(9, 'UTC')}
        GROUP BY isn, client_ip, client_port, server_ip, server_port, host, connection
    ),
    samples AS (
        SELECT
            a.host AS a_host,
            b.host AS b_host,
            if(mapContains(a.first, 'synack in') AND mapContains(b.first, 'synack out'), 'synack', 'rst') AS answer,
            -- Within one host a packet passes several devices: it left by the last and came in by the first.
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
            -- TCP sends again after 200 ms at the soonest.
            AND left - a.first['syn out'] < 200000000 AND b.last['syn in'] - arrived < 200000000
            AND answer_left - b.first[concat(answer, ' out')] < 200000000
            AND a.last[concat(answer, ' in')] - answer_arrived < 200000000
            -- Between two that both passed it on, this tells which came first: the one that waited longer.
            AND at_least <= at_most
    )
SELECT
    least(a_host, b_host) AS host,
    greatest(a_host, b_host) AS other_host,
    round((max(lower) + min(upper)) / 2e6, 6) AS ahead_ms,
    round(abs(min(upper) - max(lower)) / 2e6, 6) AS within_ms,
    max(lower) > min(upper) AS clocks_moved,
    count() AS handshakes
FROM (
    SELECT
        a_host, b_host,
        if(a_host < b_host, at_least, -at_most) AS lower, if(a_host < b_host, at_most, -at_least) AS upper
    FROM samples
)
GROUP BY host, other_host
ORDER BY abs(ahead_ms) DESC, host, other_host
