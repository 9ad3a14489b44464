-- +goose Up

create sequence event_ids as bigint;

create table events (
    id          bigint not null default nextval('event_ids'),
    account     text collate "C" not null,
    device      text collate "C" not null,
    type        text collate "C" not null,
    severity    text not null,
    data        jsonb,
    at          timestamptz not null,
    received_at timestamptz not null,
    clock_fixed boolean not null,
    claimed_at  text not null,
    boot        text not null,
    seq         bigint not null
) partition by range (received_at);

create index events_by_id on events (id);
create index events_by_device on events (device, id);
create index events_by_account on events (account, id);

-- Takes events of days that have no partition, so that none is ever refused.
create table events_default partition of events default;

create table message_seqs (
    device  text collate "C" not null,
    boot    text collate "C" not null,
    seq     bigint not null,
    account text collate "C" not null,
    day     date not null,
    primary key (device, boot, seq)
);

create index message_seqs_by_day on message_seqs using brin (day);

create table rejected (
    id          bigint generated always as identity primary key,
    account     text collate "C" not null,
    received_at timestamptz not null,
    topic       text not null,
    device      text collate "C" not null,
    code        text not null,
    reason      text not null,
    size        bigint not null,
    payload     bytea not null
);

create table rejected_counts (
    account text collate "C" not null,
    code    text collate "C" not null,
    count   bigint not null,
    primary key (account, code)
) with (fillfactor = 50);
