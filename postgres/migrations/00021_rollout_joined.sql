-- +goose Up

-- When a row was added: a device that joins late has as long as the others had.
alter table rollout_devices add column added_at timestamptz;
