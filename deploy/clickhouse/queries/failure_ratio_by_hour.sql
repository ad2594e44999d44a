-- Which part of the connections failed, hour by hour?
--
-- A ratio needs the successes. A run with --failed or --verdict does not tell them, so verdicts of such runs are left
-- out, and `hosts_left_out` says of how many hosts; so are verdicts of which no start line is known. `unknown` are
-- connections that were in flight when tracing ended: neither. Where lines were lost the ratio may be off:
-- `hosts_with_losses` says on how many hosts.
--
-- One handshake that several hosts saw counts once for each of them.
--
-- from, to: between which times the connections began.
WITH
    starts AS (
        SELECT host, seen, chosen_verdicts
        FROM nattrace.runs FINAL
        WHERE what = 'start' AND seen < {to:DateTime64(9, 'UTC')}
    ),
    judged AS (
        SELECT
            verdicts.host AS host, verdicts.started AS started, verdicts.outcome AS outcome,
            verdicts.verdict AS verdict,
            starts.host != '' AND NOT starts.chosen_verdicts AS whole
        FROM (
            SELECT host, started, seen, outcome, verdict
            FROM nattrace.verdicts FINAL
            WHERE started >= {from:DateTime64(9, 'UTC')} AND started < {to:DateTime64(9, 'UTC')}
        ) AS verdicts
        ASOF LEFT JOIN starts ON verdicts.host = starts.host AND verdicts.seen >= starts.seen
    ),
    lossy AS (
        SELECT toStartOfHour(seen) AS hour, uniqExact(host) AS hosts
        FROM nattrace.losses FINAL
        WHERE seen >= {from:DateTime64(9, 'UTC')} AND seen < {to:DateTime64(9, 'UTC')}
        GROUP BY hour
    )
SELECT
    toStartOfHour(started) AS hour,
    countIf(whole AND outcome != 'unknown') AS connections,
    countIf(whole AND outcome = 'failure') AS failures,
    if(connections = 0, NULL, round(failures / connections, 6)) AS ratio,
    countIf(whole AND outcome = 'unknown') AS unknown,
    topKIf(3)(toString(verdict), whole AND outcome = 'failure') AS most_frequent,
    uniqExactIf(host, NOT whole) AS hosts_left_out,
    any(lossy.hosts) AS hosts_with_losses
FROM judged
LEFT JOIN lossy ON lossy.hour = toStartOfHour(judged.started)
GROUP BY hour
ORDER BY hour
