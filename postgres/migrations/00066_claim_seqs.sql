-- +goose Up

-- Enters numbers of messages, in order, and gives the places in the arrays, from 1,
-- of those that are known. Nearly always none is, and to insert without looking for
-- each one before, as "on conflict" does, costs half. It is a function because what
-- its block catches neither ends the transaction nor stands in the server's log.
-- +goose StatementBegin
create function claim_seqs(devices text[], boots text[], seqs bigint[], accounts text[], received date)
returns setof integer language plpgsql as $$
begin
    begin
        insert into message_seqs (device, boot, seq, account, day)
        select x.device, x.boot, x.seq, x.account, received
        from unnest(devices, boots, seqs, accounts) as x(device, boot, seq, account);
        return;
    exception when unique_violation then
        null;
    end;
    return query
        with claims as (
            select * from unnest(devices, boots, seqs, accounts) with ordinality as x(device, boot, seq, account, place)),
        entered as (
            insert into message_seqs as m (device, boot, seq, account, day)
            select x.device, x.boot, x.seq, x.account, received from claims x
            on conflict do nothing
            returning m.device, m.boot, m.seq)
        select x.place::integer from claims x
        where not exists (select from entered e where e.device = x.device and e.boot = x.boot and e.seq = x.seq);
end $$;
-- +goose StatementEnd
