-- +goose Up

create table tickets (
    id          text collate "C" primary key,
    account     text collate "C" not null,
    device      text collate "C" not null,
    title       text not null,
    body        text not null,
    severity    text not null,
    status      text not null,
    fingerprint text not null,
    count       bigint not null,
    assignee    text not null,
    run         text collate "C" not null,
    opened_by   text not null,
    opened_at   timestamptz not null,
    updated_at  timestamptz not null,
    closed_by   text not null,
    closed_at   timestamptz,
    resolution  text not null
) with (fillfactor = 80);

create index tickets_newest on tickets (opened_at, id);
create index tickets_by_device on tickets (device, opened_at) where device <> '';

-- A problem has one open ticket. The fingerprint is text of any length, and an
-- entry of an index is not.
create unique index tickets_open on tickets (account, md5(fingerprint)) where status = 'open';

create table ticket_entries (
    id       text primary key,
    position bigint generated always as identity,
    account  text collate "C" not null,
    ticket   text collate "C" not null references tickets on delete cascade,
    kind     text not null,
    at       timestamptz not null,
    by       text not null,
    text     text not null
);

create index ticket_entries_by_ticket on ticket_entries (ticket, position);
