-- +goose Up

-- Keys that the installation made for itself, by name.
create table installation_keys (
    name       text collate "C" primary key,
    account    text collate "C" not null default 'root',
    key        bytea not null,
    created_at timestamptz not null default now()
);
