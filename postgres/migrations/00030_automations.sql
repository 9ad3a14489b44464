-- +goose Up

-- Rises whenever an automation of the account is published, retired, enabled,
-- disabled or stopped: who remembers automations looks at nothing else.
create table automation_revisions (
    account  text collate "C" primary key,
    revision bigint not null
) with (fillfactor = 50);

create table automation_states (
    account    text collate "C" not null,
    automation text collate "C" not null,
    disabled   boolean not null default false,
    brake      jsonb not null default '{}',
    changed_at timestamptz,
    changed_by text not null default '',
    reason     text not null default '',
    primary key (account, automation)
) with (fillfactor = 50);

-- What automations remember of their keys.
create table automation_keys (
    account    text collate "C" not null,
    automation text collate "C" not null,
    key        text collate "C" not null,
    state      jsonb not null default '{}',
    deadline   timestamptz,
    used_at    timestamptz,
    primary key (account, automation, key)
) with (fillfactor = 70);

create index automation_keys_due on automation_keys (deadline) where deadline is not null;

-- Runs that automations started and that have not ended.
create table automation_runs (
    run         text collate "C" primary key,
    account     text collate "C" not null,
    automation  text collate "C" not null,
    key         text collate "C" not null,
    cancel_from timestamptz -- it is to be canceled; when that is tried next
);

create index automation_runs_canceling on automation_runs (cancel_from) where cancel_from is not null;

create table automation_decisions (
    id         bigint generated always as identity primary key,
    account    text collate "C" not null,
    automation text collate "C" not null,
    version    bigint not null,
    key        text not null,
    event      bigint not null,
    device     text collate "C" not null,
    at         timestamptz not null,
    decided_at timestamptz not null,
    outcome    text not null,
    run        text not null,
    since      timestamptz,
    until      timestamptz,
    detail     text not null
);

create index automation_decisions_newest on automation_decisions (account, automation, id);
create index automation_decisions_by_event on automation_decisions (event) where event <> 0;
create index automation_decisions_by_time on automation_decisions using brin (decided_at);
