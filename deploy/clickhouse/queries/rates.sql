-- At which rate does the fleet send, by host and in all?
--
-- The numbers that docs/fleet.md takes as given, as they really are: connections and failures a second, steps for each.
-- `host` is '' for all together; its `a_host` columns say what the mean host and the busiest do.
--
-- from, to: the time to take the mean of. It should be whole hours of a usual day.
WITH
    dateDiff('second', {from:DateTime64(9, 'UTC')}, {to:DateTime64(9, 'UTC')}) AS seconds,
    by_host AS (
        SELECT host, sum(verdict_rows) AS told, sum(failed) AS failed, sum(step_rows) AS steps
        FROM (
            SELECT host, count() AS verdict_rows, countIf(outcome = 'failure') AS failed, 0 AS step_rows
            FROM nattrace.verdicts FINAL
            WHERE started >= {from:DateTime64(9, 'UTC')} AND started < {to:DateTime64(9, 'UTC')}
            GROUP BY host
            UNION ALL
            SELECT host, 0, 0, count()
            FROM nattrace.steps FINAL
            WHERE seen >= {from:DateTime64(9, 'UTC')} AND seen < {to:DateTime64(9, 'UTC')}
            GROUP BY host
        )
        GROUP BY host
    )
SELECT
    count() AS hosts,
    round(sum(told) / seconds, 3) AS connections_a_second,
    round(sum(failed) / seconds, 3) AS failures_a_second,
    round(sum(steps) / greatest(sum(told), 1), 2) AS steps_a_connection,
    round(avg(told) / seconds, 6) AS connections_a_second_mean_host,
    round(max(told) / seconds, 6) AS connections_a_second_busiest_host,
    argMax(host, told) AS busiest_host
FROM by_host
