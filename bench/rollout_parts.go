package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/deviceops/deviceops"
)

// fleetPrefix begins the ids of the devices of the rollout, rawPrefix those of
// the yardstick.
const (
	fleetPrefix = "bench"
	rawPrefix   = "raw"
)

// process is another run of this program.
type process struct{ cmd *exec.Cmd }

// spawn runs this program with other arguments until the bench ends.
func (b *rolling) spawn(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, b.options.Program, args...)
	cmd.Env = append(os.Environ(), "HOME="+b.folder, "XDG_CONFIG_HOME="+b.folder) // its context is not the user's
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("run %s: %w", args[0], err)
	}
	b.others = append(b.others, &process{cmd})
	return nil
}

// end interrupts the process and waits for it; one that does not heed is killed.
func (p *process) end() {
	_ = p.cmd.Process.Signal(os.Interrupt)
	kill := time.AfterFunc(20*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer kill.Stop()
	_ = p.cmd.Wait()
}

// liveHeap gives the bytes of this process's heap that are in use after a
// collection.
func liveHeap() uint64 {
	runtime.GC()
	runtime.GC() // what finalizers held goes with the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// database looks at, and prepares, what no port of the product does.
type database struct{ pool *pgxpool.Pool }

func openDatabase(ctx context.Context, url string) (*database, error) {
	pool, err := pgxpool.New(ctx, url)
	return &database{pool}, err
}

func (d *database) close() { d.pool.Close() }

// register stores active devices that will not say much by themselves.
func (d *database) register(ctx context.Context, store deviceops.Store, prefix string, n int) ([]string, error) {
	ids, rows := make([]string, n), make([]deviceops.Registration, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("%s-%05d", prefix, i+1)
		rows[i] = deviceops.Registration{ID: ids[i], Account: deviceops.RootAccount, Profile: fleetProfile, Serial: serialOf(ids[i])}
	}
	if _, err := store.RegisterDevices(ctx, rows, time.Now().UTC()); err != nil {
		return nil, err
	}
	for _, sql := range []string{
		`update devices set state = 'active'`, `update sessions set heartbeat_every = 3600000000000, offline_after = 3`, `analyze`,
	} {
		if _, err := d.pool.Exec(ctx, sql); err != nil {
			return nil, fmt.Errorf("prepare the fleet: %w", err)
		}
	}
	return ids, nil
}

// fleetProfile is that of the devices.
const fleetProfile = "kiosk"

func serialOf(device string) string { return "SN-" + device }

// onlineSQL counts the devices that are.
const onlineSQL = `select count(*) from sessions where connectivity = 'online'`

func (d *database) count(ctx context.Context, sql string, args ...any) (n int, err error) {
	err = d.pool.QueryRow(ctx, sql, args...).Scan(&n)
	return n, err
}

// rolloutTimes are those of the rows of a rollout.
type rolloutTimes struct {
	first, last time.Time // the start, and the last result
	p50, p99    time.Duration
}

func (d *database) times(ctx context.Context, rollout string) (t rolloutTimes, err error) {
	var p50, p99 float64
	err = d.pool.QueryRow(ctx, `
		select o.started_at, max(r.ended_at),
			percentile_cont(0.5) within group (order by extract(epoch from r.ended_at - r.sent_at)),
			percentile_cont(0.99) within group (order by extract(epoch from r.ended_at - r.sent_at))
		from rollouts o join rollout_devices r on r.rollout = o.id where o.id = $1 group by o.started_at`, rollout).
		Scan(&t.first, &t.last, &p50, &p99)
	t.p50, t.p99 = time.Duration(p50*float64(time.Second)), time.Duration(p99*float64(time.Second))
	return t, err
}

// lastSent gives how long after since the last command of a rollout was sent, when
// nothing has been sent for two seconds.
func (d *database) lastSent(ctx context.Context, rollout string, since time.Time) (time.Duration, error) {
	for {
		var last *time.Time
		err := d.pool.QueryRow(ctx, `select max(coalesce(sent_at, leased_until - interval '10 s')) from rollout_devices where rollout = $1`, rollout).Scan(&last)
		if err != nil || last == nil {
			return 0, err
		}
		if time.Since(*last) > 2*time.Second && time.Since(since) > 2*time.Second {
			return max(0, last.Sub(since)), nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}
