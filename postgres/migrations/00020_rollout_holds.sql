-- +goose Up

-- A pause whose workflow has yet to be told: the control, as it was signed.
-- Nothing is claimed while it stands.
alter table rollouts add column held jsonb;

create index rollouts_held on rollouts (id) where held is not null;
