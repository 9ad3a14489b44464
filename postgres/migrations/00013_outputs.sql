-- +goose Up

-- Parts of outputs that are too large for the history of a run, as JSON packed
-- with zstd. They are kept as long as the run is.
create table outputs (
    account    text collate "C" not null,
    sha256     text collate "C" not null, -- of the JSON, hex
    run        text collate "C" not null references runs on delete cascade,
    size       bigint not null,           -- of the JSON, in bytes
    content    bytea not null,
    created_at timestamptz not null default now(),
    primary key (run, sha256)
);

create index outputs_by_hash on outputs (account, sha256);

-- It is packed already.
alter table outputs alter column content set storage external;
