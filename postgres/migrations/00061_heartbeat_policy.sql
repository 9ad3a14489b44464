-- +goose Up

-- How long a device may be silent is asked with nearly every message that it sends,
-- together with its session, and with nothing else of its twin.
alter table sessions
    add column heartbeat_every bigint not null default 0, -- nanoseconds
    add column offline_after   bigint not null default 0; -- heartbeats

update sessions s set heartbeat_every = t.heartbeat_every, offline_after = t.offline_after
from twins t where t.device = s.device and (t.heartbeat_every, t.offline_after) <> (0, 0);

drop index twins_silence;
create index sessions_silence on sessions ((heartbeat_every * offline_after));

alter table twins drop column heartbeat_every, drop column offline_after;
