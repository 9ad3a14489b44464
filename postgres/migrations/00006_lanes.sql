-- +goose Up

create table lane_holders (
    holder      text collate "C" primary key,
    account     text collate "C" not null default 'root',
    alive_until timestamptz not null
) with (fillfactor = 50);

create table lanes (
    lane       bigint primary key,
    account    text collate "C" not null default 'root',
    holder     text collate "C" not null,
    held_until timestamptz not null
) with (fillfactor = 50);
