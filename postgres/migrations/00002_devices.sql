-- +goose Up

create table devices (
    id           text collate "C" primary key,
    account      text collate "C" not null,
    serial       text collate "C" not null,
    profile      text collate "C" not null,
    parent       text collate "C" not null,
    tags         text[] not null,
    labels       jsonb not null,
    attributes   jsonb not null,
    zone         text not null,
    latitude     double precision,
    longitude    double precision,
    state        text not null,
    state_since  timestamptz not null,
    state_reason text not null,
    claim_hash   text not null,
    created_at   timestamptz not null,
    updated_at   timestamptz not null,
    unique (id, account)
);

-- A discovered device only says what its serial is: it may not keep the owner
-- of that serial out.
create unique index devices_serial on devices (account, profile, serial)
    where serial <> '' and state <> 'discovered';
create index devices_by_account on devices (account, id);
create index devices_by_parent on devices (parent) where parent <> '';
create index devices_by_tag on devices using gin (tags);
create index devices_discovered on devices (id) where state = 'discovered';

-- The tables below follow a device into another account by their foreign keys.

create table twins (
    device          text collate "C" primary key,
    account         text collate "C" not null,
    version         bigint not null default 0,
    configuration   jsonb,
    software        jsonb,
    heartbeat_every bigint not null default 0, -- nanoseconds
    offline_after   bigint not null default 0, -- heartbeats
    config_version      bigint not null default 0,
    reported_software   jsonb,
    reported_attributes jsonb,
    reported_at         timestamptz,
    foreign key (device, account) references devices (id, account) on update cascade on delete cascade
) with (fillfactor = 80);

-- Sessions change with every heartbeat. Free space in their pages and the
-- absence of further indexes let PostgreSQL update them in place (HOT).
create table sessions (
    device            text collate "C" primary key,
    account           text collate "C" not null,
    connectivity      text not null default 'never',
    since             timestamptz,
    connection        text not null default '',
    boot              text not null default '',
    hello_at          timestamptz,
    last_seen         timestamptz,
    last_heartbeat    timestamptz,
    uptime_s          bigint not null default 0,
    wake_at           timestamptz,
    max_payload       bigint not null default 0,
    claim_hash        text not null default '',
    presented_profile text not null default '',
    presented_serial  text not null default '',
    digest            text not null default '',
    seq               bigint not null default 0,
    acked_at          timestamptz,
    clock_skewed      boolean not null default false,
    foreign key (device, account) references devices (id, account) on update cascade on delete cascade
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);

create table device_metrics (
    device  text collate "C" not null,
    name    text collate "C" not null,
    account text collate "C" not null,
    value   jsonb not null,
    at      timestamptz not null,
    primary key (device, name),
    foreign key (device, account) references devices (id, account) on update cascade on delete cascade
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);
