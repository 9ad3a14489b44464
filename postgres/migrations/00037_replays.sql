-- +goose Up

-- When a rejected message is to be taken in again: null, not asked for; else
-- from then on, under lease until then.
alter table rejected add column replay_at timestamptz;

create index rejected_replays on rejected (replay_at, id) where replay_at is not null;
