-- What do the tables take on disk, by row?
--
-- Active parts only. `bytes_a_row` is what docs/fleet.md computes with; rows that came twice count until a merge made
-- them one.
SELECT
    table,
    sum(rows) AS stored_rows,
    formatReadableSize(sum(bytes_on_disk)) AS on_disk,
    round(sum(bytes_on_disk) / stored_rows, 1) AS bytes_a_row,
    round(sum(data_uncompressed_bytes) / sum(data_compressed_bytes), 1) AS compression,
    count() AS parts,
    min(partition) AS oldest,
    max(partition) AS newest
FROM system.parts
WHERE database = 'nattrace' AND active AND rows > 0
GROUP BY table
ORDER BY sum(bytes_on_disk) DESC
