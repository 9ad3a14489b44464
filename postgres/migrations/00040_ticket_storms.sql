-- +goose Up

-- Storms: tickets of one cause are members of one parent.
alter table tickets
    add column relapses     bigint not null default 0,
    add column cause        text not null default '',
    add column parent       text collate "C" not null default '',
    add column members      bigint not null default 0,
    add column open_members bigint not null default 0,
    add column told_members bigint not null default 0,
    add column notify       text collate "C" not null default '',
    add column open_since   timestamptz;

update tickets set open_since = opened_at;
alter table tickets alter column open_since set not null;

create index tickets_alone on tickets (account, md5(cause), open_since) where status = 'open' and cause <> '' and parent = '' and members = 0;
create index tickets_members on tickets (parent, opened_at, id) where parent <> '';

-- A problem that is back opens its last ticket again.
create index tickets_last on tickets (account, md5(fingerprint), closed_at) where status = 'closed';
