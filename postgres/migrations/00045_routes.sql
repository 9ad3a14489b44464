-- +goose Up

-- One row per target of a route: its place in the stream of events, and the
-- process that forwards to it. The row changes with every delivery.
create table route_targets (
    account       text collate "C" not null,
    route         text collate "C" not null,
    target        text collate "C" not null,
    cursor        bigint not null, -- events up to this id are done
    delivered     bigint not null default 0,
    delivered_at  timestamptz,
    paused        boolean not null default false,
    paused_by     text not null default '',
    paused_reason text not null default '',
    paused_at     timestamptz,
    failures      bigint not null default 0,
    failing_since timestamptz,
    error         text not null default '',
    next_try      timestamptz,
    holder        text collate "C" not null default '',
    held_until    timestamptz,
    primary key (account, route, target)
) with (fillfactor = 50);

create table route_holders (
    holder      text collate "C" primary key,
    account     text collate "C" not null default 'root',
    alive_until timestamptz not null
) with (fillfactor = 50);

-- The event itself stays where it is, for as long as events are kept.
create table dead_letters (
    account     text collate "C" not null,
    route       text collate "C" not null,
    target      text collate "C" not null,
    event       bigint not null,
    device      text collate "C" not null,
    type        text collate "C" not null,
    received_at timestamptz not null,
    code        text not null,
    reason      text not null,
    version     bigint not null,
    at          timestamptz not null,
    tries       bigint not null,
    replaying   boolean not null default false,
    primary key (account, route, target, event)
);
