-- +goose Up

-- The number of what was rejected counts as stored, or the device would send it for
-- ever. That it does is noted, so that it is no repetition when it is taken in again.
alter table rejected add column numbered boolean not null default false;
