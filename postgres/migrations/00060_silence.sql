-- +goose Up

-- How long a device may be silent decides how often somebody looks whether it is:
-- the few that may be so only briefly are found without reading the others.
create index twins_silence on twins ((heartbeat_every * offline_after));
