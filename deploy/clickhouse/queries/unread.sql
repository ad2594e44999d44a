-- Which hosts send what is no line of nattrace that the schema knows?
--
-- It should find nothing. A cut line: the disk was full or the program was killed. A whole one: a later version, or
-- something else that writes to the same place.
--
-- from, to: when it came.
SELECT
    host,
    count() AS lines,
    if(isValidJSON(any(line)), JSONExtractString(any(line), 'event', 'dataset'), 'no JSON') AS what,
    max(received) AS last,
    substring(argMax(line, received), 1, 200) AS last_begins
FROM nattrace.unread
WHERE received >= {from:DateTime64(9, 'UTC')} AND received < {to:DateTime64(9, 'UTC')}
GROUP BY host, isValidJSON(line), JSONExtractString(line, 'event', 'dataset')
ORDER BY lines DESC
LIMIT 50
