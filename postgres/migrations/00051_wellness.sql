-- +goose Up

-- How devices do stands beside their sessions, which are read for every batch,
-- but is written only when it changes. A heartbeat changes none of what the index
-- holds, so that it still updates its row in place.
alter table sessions
    add column wellness         text not null default 'well',
    add column degraded_since   timestamptz,
    add column degraded_because text[],
    add column turning_since    timestamptz,
    add column flapping_since   timestamptz,
    add column stable_at        timestamptz,
    add column wellness_due     timestamptz;

create index sessions_wellness_due on sessions (wellness_due) where wellness_due is not null;

-- The last changes of connectivity of devices that were lost lately.
create table flaps (
    device  text collate "C" primary key,
    account text collate "C" not null,
    changes timestamptz[] not null,
    told    text not null,
    count   bigint not null,
    foreign key (device, account) references devices (id, account) on update cascade on delete cascade
) with (fillfactor = 70);
