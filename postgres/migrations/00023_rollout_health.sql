-- +goose Up

-- Whether a device is healthy as soon as it has succeeded. Of rollouts from before,
-- nobody noted it: their devices are judged.
alter table rollouts add column health_by_success boolean not null default false;
