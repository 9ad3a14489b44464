-- +goose Up

create table releases (
    position      bigint generated always as identity,
    account       text collate "C" not null,
    project       text collate "C" not null,
    version       text collate "C" not null,
    hash          text not null,
    notes         text not null,
    components    jsonb not null,
    configuration jsonb,
    requires      jsonb,
    comes_from    text not null,
    reversible    boolean not null,
    downgrade     boolean not null,
    signature     text not null,
    signer        text not null,
    created_by    text not null,
    created_at    timestamptz not null,
    primary key (account, project, version)
);

create unique index releases_newest on releases (position);
create index releases_by_project on releases (project, position);

create table release_keys (
    account   text collate "C" not null,
    id        text collate "C" not null,
    name      text not null,
    algorithm text not null,
    pem       text not null,
    added_by  text not null,
    added_at  timestamptz not null,
    primary key (account, id)
);

-- What the artifact store holds, by the hash of its content.
create table artifacts (
    account    text collate "C" not null,
    sha256     text collate "C" not null,
    size       bigint not null,
    created_by text not null,
    created_at timestamptz not null,
    primary key (account, sha256)
);
