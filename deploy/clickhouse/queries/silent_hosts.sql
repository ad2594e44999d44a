-- Which hosts have told nothing lately, and how did their last run end?
--
-- `last` is the newest line of any kind. A host without connections tells nothing either: what its last line was says
-- which it is. A host that stopped has `stop`; one that started and told no more is quiet or gone.
--
-- before: hosts whose newest line is older than this. They are looked for in the 14 days before.
SELECT
    host,
    max(newest) AS last,
    argMax(kind, newest) AS last_line,
    argMaxIf(version, newest, kind = 'start') AS version,
    argMaxIf(kernel, newest, kind = 'start') AS kernel
FROM (
    SELECT host, seen AS newest, toString(what) AS kind, version, kernel
    FROM nattrace.runs
    WHERE seen >= {before:DateTime64(9, 'UTC')} - INTERVAL 14 DAY
    UNION ALL
    SELECT host, max(seen), 'verdict', '', ''
    FROM nattrace.verdicts
    WHERE started >= {before:DateTime64(9, 'UTC')} - INTERVAL 14 DAY
    GROUP BY host
    UNION ALL
    SELECT host, max(seen), 'loss', '', ''
    FROM nattrace.losses
    WHERE seen >= {before:DateTime64(9, 'UTC')} - INTERVAL 14 DAY
    GROUP BY host
)
GROUP BY host
HAVING last < {before:DateTime64(9, 'UTC')}
ORDER BY last DESC, host
