-- +goose Up

alter table approvals
    add column show_hash        text not null default '',   -- hex SHA-256 of show
    add column barred           text[] not null default '{}', -- who may not decide: four eyes
    add column quorum           bigint not null default 0,
    add column comment_required boolean not null default false,
    add column form_schema      jsonb,
    add column notify           text not null default '',
    add column escalations      jsonb,
    add column handovers        jsonb,
    add column votes            jsonb,
    add column revision         bigint not null default 0;
