-- To which destinations do the most connections fail?
--
-- One handshake has a verdict on each host that saw it: `most_on_one_host` of them failed at least, `on_all_hosts` if
-- no two hosts saw the same one. `dialled` is what the SYN was for when a host first saw it, `reached` what it became
-- there.
--
-- from, to: between which times the connections began.
WITH by_host AS (
    SELECT
        host, dialled_ip, dialled_port, reached_ip, reached_port,
        countIf(outcome = 'failure') AS failed,
        countIf(outcome != 'unknown') AS all,
        groupUniqArrayIf(toString(verdict), outcome = 'failure') AS codes,
        argMaxIf(reason, started, outcome = 'failure') AS host_reason,
        maxIf(started, outcome = 'failure') AS host_last
    FROM nattrace.verdicts FINAL
    WHERE started >= {from:DateTime64(9, 'UTC')} AND started < {to:DateTime64(9, 'UTC')}
    GROUP BY host, dialled_ip, dialled_port, reached_ip, reached_port
)
SELECT
    max(failed) AS most_on_one_host,
    argMax(all, failed) AS of,
    argMax(host, failed) AS that_host,
    sum(failed) AS on_all_hosts,
    countIf(failed > 0) AS hosts,
    nattrace_endpoint(dialled_ip, dialled_port) AS dialled,
    nattrace_endpoint(reached_ip, reached_port) AS reached,
    arraySort(groupUniqArrayArray(codes)) AS verdicts,
    argMax(host_reason, host_last) AS last_reason,
    max(host_last) AS last
FROM by_host
GROUP BY dialled_ip, dialled_port, reached_ip, reached_port
HAVING on_all_hosts > 0
ORDER BY on_all_hosts DESC, most_on_one_host DESC, dialled, reached
LIMIT 50
