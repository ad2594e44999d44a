-- What comes in over the network, and what does taking it in cost?
--
-- From the server's own log of queries, which it keeps for as long as it was told to. Merges are not in it: they come
-- later, see system.part_log.
--
-- from, to: the time to take the mean of.
WITH dateDiff('second', {from:DateTime64(9, 'UTC')}, {to:DateTime64(9, 'UTC')}) AS seconds
SELECT
    countIf(type = 'QueryFinish') AS inserts,
    countIf(type != 'QueryFinish') AS failed,
    formatReadableQuantity(sum(ProfileEvents['NetworkReceiveBytes']) * 8 / seconds) AS sent_bits_a_second,
    round(sum(ProfileEvents['UserTimeMicroseconds'] + ProfileEvents['SystemTimeMicroseconds']) / 1e6 / seconds, 6)
        AS processors,
    argMaxIf(exception, event_time, type != 'QueryFinish') AS last_exception
FROM system.query_log
WHERE event_time >= {from:DateTime64(9, 'UTC')} AND event_time < {to:DateTime64(9, 'UTC')}
    AND type != 'QueryStart' AND query_kind IN ('Insert', 'AsyncInsertFlush') AND has(tables, 'nattrace.lines')
