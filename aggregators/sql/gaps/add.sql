INSERT INTO gaps
VALUES ($segment, $topic, $partition, $first, $last, $affects_from, $affects_to, $accepted, $why)
