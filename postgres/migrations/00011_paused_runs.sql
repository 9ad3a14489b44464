-- +goose Up

-- Since when a run is paused, by whom and why; null: it is not.
alter table runs add column paused jsonb;

drop index runs_open;
drop index runs_unchecked;
create index runs_open on runs (started_at, id) where status in ('pending', 'running', 'waiting', 'paused');
create index runs_unchecked on runs (coalesce(checked_at, started_at)) where status in ('pending', 'running', 'waiting', 'paused');
