-- +goose Up

-- Of events that are meant for certain automations: for which, and who called.
alter table events add column call jsonb;

create index events_by_call on events (id) where call is not null;

-- What called automations lately, so that it is heard once.
create table automation_calls (
    key     text collate "C" primary key,
    account text collate "C" not null,
    event   bigint not null default 0, -- that it became; 0: none
    at      timestamptz not null
);

create index automation_calls_by_time on automation_calls using brin (at);
