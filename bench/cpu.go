package bench

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"time"
)

// cpuTimes are what processes have used of the machine's processors. Unlike a
// rate it says the same however busy the machine is with other things.
type cpuTimes struct{ own, database time.Duration }

func (t cpuTimes) since(before cpuTimes) cpuTimes {
	return cpuTimes{t.own - before.own, t.database - before.database}
}

// cpu reads the times of this process and of PostgreSQL's, as Linux tells them;
// elsewhere they are 0.
func (d *database) cpu(ctx context.Context) (t cpuTimes, err error) {
	rows, err := d.pool.Query(ctx, `select pid from pg_stat_activity`)
	if err != nil {
		return t, err
	}
	defer rows.Close()
	parents := map[int]bool{}
	for rows.Next() {
		var pid int
		if err := rows.Scan(&pid); err != nil {
			return t, err
		}
		s := readStat(pid)
		t.database += s.used
		parents[s.parent] = true
	}
	for postmaster := range parents {
		t.database += readStat(postmaster).used
		t.database += readStat(postmaster).ofEnded
	}
	t.own = readStat(os.Getpid()).used
	return t, rows.Err()
}

// processStat is of a process; zero where it cannot be told.
type processStat struct {
	parent        int
	used, ofEnded time.Duration // by it, and by its children that have ended
}

// clockTick is the unit of times in /proc on every architecture that Go knows.
const clockTick = 10 * time.Millisecond

func readStat(pid int) (s processStat) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, after, ok := bytes.Cut(text, []byte(") ")) // the name before may hold anything but, here, that
	fields := bytes.Fields(after)
	if err != nil || !ok || len(fields) < 15 {
		return s
	}
	number := func(i int) int {
		n, _ := strconv.Atoi(string(fields[i])) // the kernel writes numbers
		return n
	}
	const parent, user, kernel, endedUser, endedKernel = 1, 11, 12, 13, 14 // proc(5), counted from the state
	return processStat{
		parent: number(parent), used: time.Duration(number(user)+number(kernel)) * clockTick,
		ofEnded: time.Duration(number(endedUser)+number(endedKernel)) * clockTick,
	}
}

// microseconds gives a time for each of n things.
func microseconds(t time.Duration, n int) Figure {
	return Figure{round(float64(t.Microseconds()) / float64(max(n, 1))), "µs"}
}
