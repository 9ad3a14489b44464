-- +goose Up

-- What a rollout's workflow has to find again when Temporal lost it: the notes of
-- its planning, the rings that are to be taken back, and how many devices people let
-- pass although a gate had failed. checked_at is when the workflow was looked for.
alter table rollouts
    add column notes      text[],
    add column take_back  bigint[],
    add column checked_at timestamptz;

alter table rollout_rings add column pardoned bigint;

create index approvals_by_workflow on approvals (workflow, opened_at, id);
