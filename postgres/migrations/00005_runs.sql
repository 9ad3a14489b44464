-- +goose Up

create table runs (
    id          text collate "C" primary key,
    account     text collate "C" not null,
    workflow    text collate "C" not null,
    version     bigint not null,
    hash        text not null,
    device      text collate "C" not null,
    inputs      jsonb,
    status      text not null,
    outputs     jsonb,
    error       jsonb,
    started_by  text not null,
    reason      text not null,
    started_at  timestamptz not null,
    finished_at timestamptz
);

create index runs_newest on runs (started_at, id);
create index runs_by_device on runs (device, started_at) where device <> '';
create index runs_by_workflow on runs (workflow, started_at);
create index runs_open on runs (started_at, id) where status in ('pending', 'running', 'waiting');

create table run_steps (
    run         text collate "C" not null references runs on delete cascade,
    index       bigint not null,
    account     text collate "C" not null,
    step        text not null,
    verb        text not null,
    status      text not null,
    attempts    bigint not null,
    started_at  timestamptz,
    finished_at timestamptz,
    input       jsonb,
    output      jsonb,
    error       jsonb,
    waits_for   text not null,
    primary key (run, index)
) with (fillfactor = 80);

create table approvals (
    id         text collate "C" primary key,
    account    text collate "C" not null,
    workflow   text not null,
    step       text not null,
    device     text collate "C" not null,
    question   text not null,
    show       jsonb,
    deciders   text[] not null, -- role:<role> or user:<name>
    status     text not null,
    opened_at  timestamptz not null,
    expires_at timestamptz,
    decided_at timestamptz,
    decided_by text not null,
    comment    text not null,
    form       jsonb
);

create index approvals_newest on approvals (opened_at, id);
create index approvals_open on approvals (opened_at, id) where status = 'open';
create index approvals_by_device on approvals (device, opened_at) where device <> '';

-- Workflows to start. Rows leave when the start was carried out, so the table
-- stays small.
create table starts (
    workflow_id  text collate "C" primary key,
    account      text collate "C" not null,
    type         text not null,
    input        jsonb,
    device       text collate "C" not null,
    requested_at timestamptz not null,
    leased_until timestamptz
) with (fillfactor = 50);

create index starts_waiting on starts (requested_at);
