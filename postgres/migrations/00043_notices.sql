-- +goose Up

-- Notifications: an outbox until they are sent, a list of dead letters after.
create table notices (
    id           text collate "C" primary key,
    position     bigint generated always as identity,
    account      text collate "C" not null,
    channel      text collate "C" not null,
    key          text not null,
    title        text not null,
    text         text not null,
    severity     text not null,
    device       text collate "C" not null,
    run          text collate "C" not null,
    workflow     text not null,
    step         text not null,
    status       text not null,
    more         bigint not null default 0,
    attempts     bigint not null default 0,
    error        text not null default '',
    queued_at    timestamptz not null,
    slot         timestamptz, -- when it counts for the limit; null: it was folded
    due_at       timestamptz,
    leased_until timestamptz,
    sent_at      timestamptz
) with (fillfactor = 80);

create index notices_due on notices (account, channel, due_at) where status = 'pending';
create index notices_slots on notices (account, channel, md5(key), slot) where slot is not null;
create index notices_dead on notices (account, channel, position) where status = 'dead';
create index notices_newest on notices (position);

-- Tickets that another system has too.
alter table tickets
    add column channel       text collate "C" not null default '',
    add column remote_id     text not null default '',
    add column remote_url    text not null default '',
    add column remote_status text not null default '',
    add column remote_state  text not null default '';

create index tickets_remote on tickets (channel, md5(remote_id)) where remote_id <> '';

-- What the other system does not know yet.
alter table ticket_entries add column unsent boolean not null default false;
create index ticket_entries_unsent on ticket_entries (ticket, position) where unsent;
