-- +goose Up

-- How many bytes there were of an account and code, in all and up to a message: what
-- of a kind is beyond a bound is found without counting.
alter table rejected_counts add column bytes bigint not null default 0;
alter table rejected add column place bigint not null default 0;
alter table rejected alter column place drop default;

create index rejected_by_place on rejected (account, code, place);
create index rejected_by_code on rejected (code, id);
create index rejected_by_device on rejected (device, id) where device <> '';
