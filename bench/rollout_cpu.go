package bench

import (
	"context"
	"time"
)

// partTimes is what each part of the stack has used of the machine's processors.
type partTimes map[string]time.Duration

// partTimes reads them. Temporal's server is a part of the engine here.
func (b *rolling) partTimes(ctx context.Context) (partTimes, error) {
	t, err := b.deploy.cpu(ctx)
	return partTimes{
		"engine": t.own, "postgres": t.database, "broker": b.usedBy("dev"), "devices": b.usedBy("simulate"),
	}, err
}

// usedBy gives what the process of this program used that was started last with a
// command.
func (b *rolling) usedBy(command string) (used time.Duration) {
	for _, p := range b.others {
		if p.cmd.Args[1] == command {
			used = readStat(p.cmd.Process.Pid).used
		}
	}
	return used
}

// since gives what each part has used since before, for each of n.
func (t partTimes) since(before partTimes, n int) map[string]Figure {
	figures := map[string]Figure{}
	for part, used := range t {
		figures[part] = microseconds(used-before[part], n)
	}
	return figures
}
