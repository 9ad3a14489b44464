-- +goose Up

-- Dead letters that are to be tried again are looked for every two seconds, by each
-- target: among a million that nobody asked for, they are found at once.
create index dead_letters_replaying on dead_letters (account, route, target, event) where replaying;
