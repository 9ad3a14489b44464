package postgrestest

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// Copying a database takes half a second, emptying a small one takes
// milliseconds: tests that leave the tables as they found them pass their
// database on.
var free struct {
	sync.Mutex
	databases []database
}

type database struct {
	url  string
	drop func()
}

func borrow(t testing.TB) string {
	t.Helper()
	d, ok := takeFree()
	if !ok {
		template, err := madeTemplate(t.Context())
		require.NoError(t, err)
		d.url, d.drop, err = create(t.Context(), "template "+template+" strategy file_copy")
		require.NoError(t, err)
	}
	t.Cleanup(d.giveBack)
	return d.url
}

func takeFree() (d database, ok bool) {
	free.Lock()
	defer free.Unlock()
	n := len(free.databases)
	if n == 0 {
		return database{}, false
	}
	d, free.databases = free.databases[n-1], free.databases[:n-1]
	return d, true
}

func (d database) giveBack() {
	if err := execute(context.Background(), d.url, empty); err != nil {
		d.drop()
		return
	}
	free.Lock()
	defer free.Unlock()
	free.databases = append(free.databases, d)
}

// empty brings a database back to what the migrations made. It fails, and the
// database is dropped, when somebody still uses it or when it has grown, since
// the planner would remember.
const empty = `
do $$
declare
	item record;
	users int;
begin
	set local lock_timeout = '1s';
	set local session_replication_role = replica; -- no triggers: the audit log only grows
	for waited in 1..100 loop -- the server notices a moment later that a client has gone
		perform pg_stat_clear_snapshot();
		select count(*) into users from pg_stat_activity
			where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend';
		exit when users = 0;
		perform pg_sleep(0.01);
	end loop;
	if users > 0 then
		raise 'still in use';
	end if;
	if (select sum(pg_total_relation_size(oid)) from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r') > 2e6 then
		raise 'too large';
	end if;
	for item in select relname from pg_class
		where relnamespace = 'public'::regnamespace and relkind = 'r' and relname <> 'goose_db_version'
	loop
		execute format('delete from %I', item.relname);
	end loop;
	for item in select sequencename from pg_sequences where schemaname = 'public' and sequencename <> 'goose_db_version_id_seq'
	loop
		perform setval(item.sequencename::regclass, 1, false);
	end loop;
	insert into accounts values ('root', 'Root', now());
end
$$`
