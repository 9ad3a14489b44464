-- +goose Up

-- When a device was where it said that it is.
alter table devices add column place_at timestamptz;
