-- When and on which host did a cause appear first: a verdict together with its rule?
--
-- Newest causes first: what stands on top is what changed last. It looks at all that is kept, since a cause is new only
-- if it was never there before; `from` chooses those that were first seen since.
SELECT
    min(started) AS first,
    argMin(host, started) AS first_host,
    verdict,
    ruleset,
    rule,
    argMin(dialled, started) AS first_dialled,
    argMin(reason, started) AS first_reason,
    argMin(connection_id, started) AS first_connection,
    count() AS failures_since,
    uniqExact(host) AS hosts_since
FROM nattrace.verdicts FINAL
WHERE outcome = 'failure'
GROUP BY verdict, ruleset, rule
HAVING first >= {from:DateTime64(9, 'UTC')}
ORDER BY first DESC, verdict, rule
LIMIT 50
