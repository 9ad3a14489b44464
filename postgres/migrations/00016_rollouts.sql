-- +goose Up

create table rollouts (
    id            text collate "C" primary key,
    account       text collate "C" not null,
    name          text collate "C" not null,
    kind          text not null,
    source        text not null,
    hash          text not null,
    status        text not null,
    status_reason text not null,
    status_by     text not null,
    status_since  timestamptz not null,
    epoch         bigint not null,
    limits        jsonb not null,
    rollback_of   text collate "C" not null,
    rollback      text collate "C" not null,
    created_by    text not null,
    reason        text not null,
    created_at    timestamptz not null,
    started_at    timestamptz,
    finished_at   timestamptz,
    pumped_at     timestamptz, -- when a pump last looked for due devices
    unique (account, name)
) with (fillfactor = 50);

create index rollouts_newest on rollouts (created_at, id);
create index rollouts_open on rollouts (created_at, id)
    where status not in ('succeeded', 'failed', 'canceled', 'reverted');

-- The counters always equal what counting the ring's devices would give. One
-- row per ring changes with every batch of answers: mostly free pages keep that
-- an update in place (HOT).
create table rollout_rings (
    rollout       text collate "C" not null references rollouts on delete cascade,
    ring          bigint not null,
    account       text collate "C" not null,
    name          text not null,
    status        text not null,
    reason        text not null,
    opened_at     timestamptz,
    soak_at       timestamptz,
    closed_at     timestamptz,
    targeted      bigint not null default 0,
    pending       bigint not null default 0,
    leased        bigint not null default 0, -- of the pending ones
    sent          bigint not null default 0,
    accepted      bigint not null default 0,
    deferred      bigint not null default 0,
    succeeded     bigint not null default 0,
    failed        bigint not null default 0,
    rejected      bigint not null default 0,
    timed_out     bigint not null default 0,
    excused       bigint not null default 0,
    canceled      bigint not null default 0,
    reverting     bigint not null default 0,
    reverted      bigint not null default 0,
    revert_failed bigint not null default 0,
    healthy       bigint not null default 0,
    unhealthy     bigint not null default 0,
    primary key (rollout, ring)
) with (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);

-- No index holds the status. due_at is null unless the row may be claimed, so
-- that from the moment a command was published until its device is done every
-- update is in place.
create table rollout_devices (
    rollout      text collate "C" not null,
    device       text collate "C" not null,
    account      text collate "C" not null,
    ring         bigint not null,
    status       text not null,
    previous     text not null, -- the state (see rollout_moves.go) before the last change: what counters lose
    health       bigint not null default 0, -- 0 unknown, 1 no, 2 yes
    attempt      bigint not null,
    deferrals    bigint not null,
    due_at       timestamptz, -- of pending and deferred ones: to be looked at then; under lease, when that ends
    leased_until timestamptz, -- of pending ones: being published until then
    wait_kind    text not null,
    wait_text    text not null,
    wait_since   timestamptz,
    wait_until   timestamptz,
    origin       jsonb,
    error        jsonb,
    phase        text not null,
    percent      bigint not null,
    sent_at      timestamptz,
    answer_at    timestamptz,
    began_at     timestamptz, -- an install was past its download
    ended_at     timestamptz,
    primary key (rollout, device)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);

create index rollout_devices_due on rollout_devices (rollout, ring, due_at, device) where due_at is not null;
create index rollout_devices_by_device on rollout_devices (device, rollout);
create index rollout_devices_waiting on rollout_devices (device) where wait_kind <> '';

create table freezes (
    account text collate "C" primary key,
    reason  text not null,
    by      text not null,
    at      timestamptz not null
);

-- A command that carries out a rollout's row names both; '' otherwise.
alter table commands
    add column rollout text collate "C" not null default '',
    add column ring    bigint not null default 0;
