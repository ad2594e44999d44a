-- Which hosts lose what they should have told, what is lost, and what does that make doubtful?
--
-- `observations`: timelines may have gaps, verdicts are more general from then on. `handshakes`: those that are told
-- are complete, others are missing. `output`: lines were not told because nobody read them; nothing is wrong with the
-- rest.
--
-- from, to: when the losses were told.
SELECT
    host,
    scope,
    reason,
    sum(events) AS lost,
    count() AS lines,
    min(since) AS first,
    max(seen) AS last
FROM nattrace.losses FINAL
WHERE seen >= {from:DateTime64(9, 'UTC')} AND seen < {to:DateTime64(9, 'UTC')}
GROUP BY host, scope, reason
ORDER BY scope = 'observations' DESC, lost DESC, host, reason
LIMIT 200
