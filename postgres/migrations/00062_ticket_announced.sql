-- +goose Up

-- What people are to hear yet is noted apart from what the other system does not
-- know yet: they do not wait for a system that is away.
alter table ticket_entries add column unannounced boolean not null default false;
create index ticket_entries_unannounced on ticket_entries (ticket, position) where unannounced;

-- One that was told already is queued under the same id, and so not told again.
update ticket_entries e set unannounced = true from tickets t where t.id = e.ticket and e.unsent and t.notify <> '';
