-- Which rules fail the most connections?
--
-- A rule stands on a verdict where it decided (dropped, rejected) or translated to where the connection then failed.
-- Rules with the same text are one here: the handle differs from host to host, the text does not.
--
-- from, to: between which times the connections began.
SELECT
    count() AS failures,
    uniqExact(host) AS hosts,
    uniqExact(client_ip) AS clients,
    verdict,
    ruleset,
    rule,
    min(started) AS first,
    max(started) AS last,
    argMax(host, started) AS last_host,
    argMax(reason, started) AS last_reason
FROM nattrace.verdicts FINAL
WHERE started >= {from:DateTime64(9, 'UTC')} AND started < {to:DateTime64(9, 'UTC')}
    AND outcome = 'failure' AND ruleset != ''
GROUP BY verdict, ruleset, rule
ORDER BY failures DESC, hosts DESC, rule, verdict
LIMIT 50
