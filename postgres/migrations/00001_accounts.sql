-- +goose Up

-- Every row of every table carries its account, so that row-level security can
-- be laid over all of them. Ids and paths compare by byte (collate "C"): order
-- is the same everywhere, and "all below acme" is a range of an index.

create table accounts (
    path       text collate "C" primary key,
    name       text not null,
    created_at timestamptz not null
);

insert into accounts values ('root', 'Root', now());

create table tokens (
    account    text collate "C" not null,
    name       text collate "C" not null,
    roles      text[] not null,
    hash       text not null unique,
    expires_at timestamptz,
    created_at timestamptz not null,
    primary key (account, name)
);

create table audit (
    id       bigint generated always as identity primary key,
    at       timestamptz not null,
    account  text collate "C" not null,
    actor    text not null,
    action   text not null,
    target   text not null,
    reason   text not null,
    evidence jsonb
);

create index audit_by_target on audit (target, id);
create index audit_by_account on audit (account, id);

-- +goose StatementBegin
create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% only grows', tg_table_name using errcode = 'restrict_violation';
end
$$;
-- +goose StatementEnd

create trigger audit_only_grows before update or delete or truncate on audit
    execute function refuse_change();

create table documents (
    account      text collate "C" not null,
    kind         text collate "C" not null,
    name         text collate "C" not null,
    version      bigint not null,
    hash         text not null,
    source       text not null,
    published_at timestamptz not null,
    published_by text not null,
    reason       text not null,
    retired      boolean not null default false,
    primary key (account, kind, name, version)
);
