-- +goose Up

-- When somebody last asked Temporal whether an open run still goes on.
alter table runs add column checked_at timestamptz;

create index runs_unchecked on runs (coalesce(checked_at, started_at)) where status in ('pending', 'running', 'waiting');
