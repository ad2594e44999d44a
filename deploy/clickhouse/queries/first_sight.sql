-- When and on which host did a cause appear first?
--
-- A cause is a verdict with its rule; where no rule is part of it, with the address and port that was reached. The
-- newest stand on top: what changed last. All verdicts that are kept are looked at, since a cause is new only if it
-- was never there before.
--
-- from: causes that were first seen since.
SELECT
    min(started) AS first,
    argMin(host, started) AS first_host,
    verdict,
    ruleset,
    rule,
    if(ruleset = '', reached, '') AS destination,
    argMin(reason, started) AS first_reason,
    argMin(connection_id, started) AS first_connection,
    count() AS since,
    uniqExact(host) AS hosts
FROM nattrace.verdicts FINAL
WHERE outcome = 'failure'
GROUP BY verdict, ruleset, rule, destination
HAVING first >= {from:DateTime64(9, 'UTC')}
ORDER BY first DESC, verdict, rule, destination
LIMIT 50
