-- +goose Up

-- Every sample for a while. tx is the transaction that stored it: samples are
-- summed up in the order of their transactions, which is the only one in which
-- none can appear behind what was summed up already.
create table metric_samples (
    account     text collate "C" not null,
    device      text collate "C" not null,
    name        text collate "C" not null,
    value       double precision not null,
    at          timestamptz not null,
    received_at timestamptz not null,
    tx          bigint not null
) partition by range (received_at);

create index metric_samples_by_device on metric_samples (device, name, at);
create index metric_samples_by_tx on metric_samples using brin (tx) with (pages_per_range = 32, autosummarize = on);
create table metric_samples_default partition of metric_samples default;

-- Sums of five minutes and of hours.
create table metric_fives (
    account text collate "C" not null,
    device  text collate "C" not null,
    name    text collate "C" not null,
    bucket  timestamptz not null,
    count   bigint not null,
    min     double precision not null,
    max     double precision not null,
    sum     double precision not null,
    last    double precision not null,
    last_at timestamptz not null,
    primary key (name, device, bucket)
) partition by range (bucket);

create table metric_fives_default partition of metric_fives default;

create table metric_hours (
    account text collate "C" not null,
    device  text collate "C" not null,
    name    text collate "C" not null,
    bucket  timestamptz not null,
    count   bigint not null,
    min     double precision not null,
    max     double precision not null,
    sum     double precision not null,
    last    double precision not null,
    last_at timestamptz not null,
    primary key (name, device, bucket)
) partition by range (bucket);

create table metric_hours_default partition of metric_hours default;

-- Samples of transactions before upto are summed up.
create table metric_rollup (
    account text collate "C" primary key,
    upto    bigint not null
);
