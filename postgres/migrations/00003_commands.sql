-- +goose Up

-- That two exclusive commands never overlap on a device is held where commands
-- are claimed, not by a unique index: what a device says it does must always
-- be recordable, or the batch that carries it could never be stored.
create table commands (
    id              text collate "C" primary key,
    ordinal         bigint generated always as identity, -- breaks ties of created_at
    account         text collate "C" not null,
    device          text collate "C" not null,
    name            text not null,
    args            jsonb,
    attempt         bigint not null,
    exclusive       boolean not null,
    status          text not null,
    asked_by        text not null,
    reason          text not null,
    waiter_workflow text not null,
    waiter_activity text not null,
    created_at      timestamptz not null,
    due_at          timestamptz,
    expires_at      timestamptz,
    sent_at         timestamptz,
    leased_until    timestamptz,
    finished_at     timestamptz,
    cancel_asked    boolean not null,
    deferrals       bigint not null,
    boot            text not null,
    phase           text not null,
    percent         bigint not null,
    output          jsonb,
    error           jsonb
) with (fillfactor = 80);

create index commands_by_device on commands (device, created_at, ordinal);
create index commands_open on commands (device, created_at, ordinal)
    where status in ('pending', 'sent', 'accepted', 'deferred');
create index commands_oldest on commands (created_at, ordinal)
    where status in ('pending', 'sent', 'accepted', 'deferred');
create index commands_unwatched on commands (expires_at)
    where status in ('pending', 'sent', 'accepted', 'deferred') and waiter_workflow = '';
