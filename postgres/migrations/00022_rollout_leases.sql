-- +goose Up

-- A lease changes no column of an index, and a page has room for a second version
-- of each of its rows: leasing is an update in place (HOT). What is due is found by
-- due_at as before; the index then passes by what is under lease.
alter table rollout_devices set (fillfactor = 45);
