-- +goose Up

-- The run that a run goes on with, and from which step; null: none.
alter table runs add column rerun_of jsonb;

-- Variables as a step left them, and whether the step was executed in another run.
alter table run_steps add column vars jsonb;
alter table run_steps add column copied boolean not null default false;
