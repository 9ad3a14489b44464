-- +goose Up

-- Who asks for the root account asks for everything, and nobody else finds events
-- of that very account: there, an index over accounts is written and never read.
drop index events_by_account;
create index events_by_account on events (account, id) where account <> 'root';
