-- Half a million invented scenarios.
--
-- output: seeds
SELECT
    lpad(to_hex(stable_hash(0, 'scenario', value)), 16, '0') AS scenario_id,
    md5(CAST(value AS TEXT)) AS fingerprint
FROM generate_series(1, 500000);
