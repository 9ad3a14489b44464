//go:build !lean

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// userTick is the unit of times in /proc, whatever the kernel counts in.
const userTick = 10 * time.Millisecond

// busy gives the time for which the processors of the machine have worked, for
// whomever.
func busy(t *testing.T) time.Duration {
	text, err := os.ReadFile("/proc/stat")
	require.NoError(t, err)
	line, _, _ := strings.Cut(string(text), "\n")
	fields := strings.Fields(line)
	require.Equal(t, "cpu", fields[0])
	const idle, wait = 4, 5
	return ticks(fields[1:9]) - ticks(fields[idle:wait+1])
}

// spent gives the time for which the processors have worked for a process, and for
// all that it started.
func spent(t *testing.T, root int) (total time.Duration) {
	for _, pid := range append(descendants(t, root), root) {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue // it has ended, and its parent tells
		}
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		total += ticks(fields[11:15]) // its own in user and kernel mode, and that of its children which have ended
	}
	return total
}

func ticks(fields []string) (sum time.Duration) {
	for _, f := range fields {
		n, _ := strconv.Atoi(f)
		sum += time.Duration(n) * userTick
	}
	return sum
}

// undisturbed gives how long something took on this machine, less what its
// processors did for others meanwhile: before is what busy said at its beginning, and
// root the process that did it.
func undisturbed(t *testing.T, took, before time.Duration, root int) time.Duration {
	others := max(0, busy(t)-before-spent(t, root)) / time.Duration(runtime.NumCPU())
	t.Logf("took %v, of which the processors worked %v for others", took, others)
	return took - others
}

// What the processors do for others is taken off, and what they do for the process is
// not.
func TestUndisturbed(t *testing.T) {
	before, began := busy(t), time.Now()
	worker := startProcess(t, exec.Command("sh", "-c", "while :; do :; done")).cmd.Process.Pid
	idler := startProcess(t, exec.Command("sleep", "600")).cmd.Process.Pid
	const work = 500 * time.Millisecond
	require.Eventually(t, func() bool { return spent(t, worker) >= work }, time.Minute, 10*time.Millisecond)
	took := time.Since(began)
	own, others := undisturbed(t, took, before, worker), undisturbed(t, took, before, idler)
	require.LessOrEqual(t, own, took)
	require.GreaterOrEqual(t, own-others, work/time.Duration(runtime.NumCPU())-2*userTick)
}
