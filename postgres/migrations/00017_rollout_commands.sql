-- +goose Up

-- What is not sent yet of a rollout is its pump's affair: neither the dispatcher
-- nor the sweeper of expired commands looks for it, and a lease need not enter it
-- into their indexes.
drop index commands_oldest;
create index commands_oldest on commands (created_at, ordinal)
    where status in ('pending', 'sent', 'accepted', 'deferred') and (rollout = '' or status in ('sent', 'accepted'));

drop index commands_unwatched;
create index commands_unwatched on commands (expires_at)
    where status in ('pending', 'sent', 'accepted', 'deferred') and waiter_workflow = '' and (rollout = '' or status in ('sent', 'accepted'));
