-- To which destinations do the most connections fail?
--
-- One handshake has a verdict on each host that saw it, so a destination is counted by host: `failures` is the most
-- that one host saw, not the sum. `dialled` is what that host's SYN was for when it came, `reached` what it became.
--
-- from, to: between which times the connections began.
WITH by_host AS (
    SELECT
        host, dialled_ip, dialled_port, reached_ip, reached_port,
        countIf(outcome = 'failure') AS failed,
        countIf(outcome != 'unknown') AS all,
        topKIf(3)(toString(verdict), outcome = 'failure') AS codes,
        argMaxIf(reason, started, outcome = 'failure') AS host_reason,
        maxIf(started, outcome = 'failure') AS host_last
    FROM nattrace.verdicts FINAL
    WHERE started >= {from:DateTime64(9, 'UTC')} AND started < {to:DateTime64(9, 'UTC')}
    GROUP BY host, dialled_ip, dialled_port, reached_ip, reached_port
    HAVING failed > 0
)
SELECT
    max(failed) AS failures,
    argMax(all, failed) AS of,
    count() AS hosts,
    nattrace_endpoint(dialled_ip, dialled_port) AS dialled,
    nattrace_endpoint(reached_ip, reached_port) AS reached,
    arraySort(groupUniqArrayArray(codes)) AS verdicts,
    argMax(host, failed) AS worst_host,
    argMax(host_reason, failed) AS worst_host_reason,
    max(host_last) AS last
FROM by_host
GROUP BY dialled_ip, dialled_port, reached_ip, reached_port
ORDER BY failures DESC, hosts DESC, dialled, reached
LIMIT 50
