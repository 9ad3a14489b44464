-- +goose Up

-- Tickets that are closed when their device is back.
alter table tickets add column recover text not null default '';
create index tickets_recovering on tickets (device) where status = 'open' and recover <> '';
